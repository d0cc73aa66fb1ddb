/** Datagrams of the multicast protocol, version 1: one message each, as JSON in clear or in an envelope. */
import * as v from 'valibot';
import { type Flat, fromFlat, toFlat } from '../../record/flat.ts';
import {
  EpochSchema,
  InstanceSchema,
  MAX_RECORD_BYTES,
  type Parsed,
  parseJson,
  parseWith,
  RecordSchema,
  StackIdSchema,
} from '../../record/record.ts';
import { type Envelope, isEnvelope, NO_KEYS, NOT_SEALED, purposeOf } from '../../trust/envelope.ts';

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

function flatOf(message: Message): Flat {
  if (message.type === 'announce') return { ...toFlat(message.record), every: String(message.interval_ms) };
  const { stack_id: id, instance: inst } = message;
  if (message.type === 'query') return { id, inst };
  return { id, inst, boot: message.boot.toString(36), seq: message.seq.toString(36) };
}

function messageOf(type: Message['type'], flat: Flat): Parsed<Message> {
  if (type === 'announce') {
    const record = fromFlat(flat);
    if (!record.ok) return record;
    const interval_ms = Number(flat.every);
    return parseWith(AnnounceSchema, { docker_router: 1, type, interval_ms, record: record.value });
  }
  const from = { docker_router: 1, type, stack_id: flat.id, instance: flat.inst };
  if (type === 'query') return parseWith(QuerySchema, from);
  const [boot, seq] = [flat.boot ?? '', flat.seq ?? ''].map((text) => Number.parseInt(text, 36));
  return parseWith(GoodbyeSchema, { ...from, boot, seq });
}

export function encodeMessage(message: Message, envelope?: Envelope): Buffer {
  return envelope ? envelope.close(message.type, flatOf(message)) : Buffer.from(JSON.stringify(message));
}

export type Decoded =
  | { readonly ok: true; readonly value: Message }
  | { readonly ok: false; readonly kind: string; readonly error: string };

const malformed = (error: string): Decoded => ({ ok: false, kind: 'malformed', error });

export function decodeMessage(datagram: Buffer, envelope?: Envelope): Decoded {
  // Checked before the bytes become a string, so that a flood of large datagrams costs nothing.
  if (datagram.length > MAX_RECORD_BYTES) return malformed(`larger than ${MAX_RECORD_BYTES} bytes`);
  if (isEnvelope(datagram)) return envelope ? decodeSealed(datagram, envelope) : NO_KEYS;
  if (envelope?.seals) return NOT_SEALED;
  const message = parseJson(MessageSchema, datagram.toString('utf8'), MAX_RECORD_BYTES);
  if (!message.ok) return malformed(message.error);
  const refused = envelope?.openClear(flatOf(message.value));
  return refused?.ok === false ? refused : message;
}

function decodeSealed(datagram: Buffer, envelope: Envelope): Decoded {
  const type = typeOf(datagram);
  if (type === undefined) return malformed('an envelope that is none of a message');
  const opened = envelope.open(type, datagram);
  if (!opened.ok) return opened;
  const message = messageOf(type, opened.flat);
  return message.ok ? message : malformed(message.error);
}

/** What the envelope says it is; whether that is true is found out when it is opened. */
function typeOf(datagram: Buffer): Message['type'] | undefined {
  const purpose = purposeOf(datagram);
  return purpose === 'announce' || purpose === 'query' || purpose === 'goodbye' ? purpose : undefined;
}
