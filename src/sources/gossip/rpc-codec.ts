/** Serf's RPC protocol, version 1: MessagePack objects over TCP, a header and for some commands a body. Pure. */
import { encode } from '@msgpack/msgpack';
import * as v from 'valibot';

/** More members than this are not read: 16,384 stacks fill the peer table. */
export const MAX_MEMBERS = 20_000;
/** One answer, in bytes; 16,384 members with full tags take about 12 MB. */
export const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;
export const RPC_VERSION = 1;

const decoder = new TextDecoder();

/** Limits for each part of an answer: members of the gossip decide what is in it. */
export const DECODER_LIMITS = {
  maxStrLength: 1024 * 1024,
  maxBinLength: 4096,
  maxArrayLength: MAX_MEMBERS,
  maxMapLength: MAX_MEMBERS,
  maxExtLength: 0,
  // The library refuses a whole answer for the key __proto__, so one member with such a tag would hide all the others.
  keyDecoder: {
    canBeCached: () => true,
    decode: (bytes: Uint8Array, offset: number, length: number) => {
      const key = decoder.decode(bytes.subarray(offset, offset + length));
      return key === '__proto__' ? ' __proto__' : key;
    },
  },
};

export type Command = 'handshake' | 'auth' | 'members' | 'tags' | 'join' | 'leave';

/** Bytes of one request. `seq` comes back in the header of its answer. */
export function encodeRequest(seq: number, command: Command, body?: Readonly<Record<string, unknown>>): Buffer {
  const parts = [encode({ Command: command, Seq: seq })];
  if (body) parts.push(encode(body));
  return Buffer.concat(parts);
}

/** Commands whose header is followed by a body, also when the header tells of an error. */
const WITH_BODY: ReadonlySet<Command> = new Set(['members', 'join']);

export function hasBody(command: Command): boolean {
  return WITH_BODY.has(command);
}

export const HeaderSchema = v.object({
  Seq: v.pipe(v.number(), v.integer(), v.minValue(0)),
  Error: v.string(),
});

/** Each member is judged by itself, so that a strange one never hides the others. */
export const MembersSchema = v.object({ Members: v.nullable(v.pipe(v.array(v.unknown()), v.maxLength(MAX_MEMBERS))) });
export const JoinSchema = v.object({ Num: v.pipe(v.number(), v.integer()) });

const AddressSchema = v.pipe(
  v.instance(Uint8Array),
  v.check((bytes) => bytes.length === 4 || bytes.length === 16, 'has neither 4 nor 16 bytes'),
);

export const MemberSchema = v.object({
  Name: v.pipe(v.string(), v.minLength(1), v.maxLength(255)),
  Addr: AddressSchema,
  Port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535)),
  /** memberlist allows 512 bytes of them all together. */
  Tags: v.nullable(v.record(v.pipe(v.string(), v.maxLength(512)), v.pipe(v.string(), v.maxLength(512)))),
  Status: v.picklist(['none', 'alive', 'leaving', 'left', 'failed']),
});
export type Member = v.InferOutput<typeof MemberSchema>;

/** RFC 4291 section 2.5.5.2: the IPv4 address inside ::ffff:0:0/96. */
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

/** Dotted quad; undefined for an IPv6 address. */
export function ipv4Of(address: Uint8Array): string | undefined {
  if (address.length === 4) return address.join('.');
  return MAPPED.equals(address.subarray(0, 12)) ? address.subarray(12).join('.') : undefined;
}
