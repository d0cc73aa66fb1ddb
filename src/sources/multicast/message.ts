/** Datagrams of the multicast protocol, version 1: JSON over UDP, one message a datagram. */
import * as v from 'valibot';
import {
  EpochSchema,
  InstanceSchema,
  MAX_RECORD_BYTES,
  type Parsed,
  parseJson,
  RecordSchema,
  StackIdSchema,
} from '../../record/record.ts';

const From = { docker_router: v.literal(1, 'is not version 1'), stack_id: StackIdSchema, instance: InstanceSchema };

/** Sent on start and on every change, then every `interval_ms`; repeated a few times, since datagrams get lost. */
const AnnounceSchema = v.object({
  docker_router: v.literal(1, 'is not version 1'),
  type: v.literal('announce'),
  /** When to expect the next one: a receiver waits for several of them before it gives the sender up. */
  interval_ms: v.pipe(v.number(), v.integer(), v.minValue(100), v.maxValue(86_400_000)),
  record: RecordSchema,
});
/** "Who is there?": sent on start, so that a newcomer need not wait for a round of announcements. */
const QuerySchema = v.object({ ...From, type: v.literal('query') });
/** Sent on a clean stop. */
const GoodbyeSchema = v.object({
  ...From,
  type: v.literal('goodbye'),
  boot: EpochSchema,
  seq: RecordSchema.entries.seq,
});

const MessageSchema = v.variant('type', [AnnounceSchema, QuerySchema, GoodbyeSchema]);
export type Message = v.InferOutput<typeof MessageSchema>;

export function encodeMessage(message: Message): Buffer {
  return Buffer.from(JSON.stringify(message));
}

export function decodeMessage(datagram: Buffer): Parsed<Message> {
  // Checked before the bytes become a string, so that a flood of large datagrams costs nothing.
  if (datagram.length > MAX_RECORD_BYTES) return { ok: false, error: `larger than ${MAX_RECORD_BYTES} bytes` };
  return parseJson(MessageSchema, datagram.toString('utf8'), MAX_RECORD_BYTES);
}
