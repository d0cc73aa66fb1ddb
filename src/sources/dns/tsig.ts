/** TSIG, transaction signatures with a shared secret (RFC 8945). The record's frame is dns-packet's, the MAC is node:crypto's. Pure. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import packet from 'dns-packet';
import type { TsigKey } from '../../config/dns-config.ts';
import type { Parsed } from '../../record/record.ts';

/** Section 10 recommends 300 s: how far the two clocks may be apart. */
export const FUDGE_SECONDS = 300;
/** Section 3. */
const ERRORS: Readonly<Record<number, string>> = { 16: 'BADSIG', 17: 'BADKEY', 18: 'BADTIME', 22: 'BADTRUNC' };
/** Section 5.3.2: a server that could not check the request answers unsigned. */
const UNSIGNED = ['BADSIG', 'BADKEY'];

/** Offsets in the header (RFC 1035 section 4.1.1). */
const QDCOUNT = 4;
const ARCOUNT = 10;

export interface Signed {
  readonly bytes: Buffer;
  readonly mac: Buffer;
}

export interface Verified {
  /** Name of the TSIG error; undefined when there is none. */
  readonly error: string | undefined;
  /** The server's clock in seconds since 1970; undefined when the answer is unsigned. */
  readonly serverSeconds: number | undefined;
}

interface Fields {
  readonly seconds: number;
  readonly fudge: number;
  readonly error: number;
  readonly other: Buffer;
}

interface Found extends Fields {
  readonly keyName: string;
  readonly algorithm: string;
  readonly mac: Buffer;
  readonly originalId: number;
  /** Where the record begins in the message. */
  readonly offset: number;
}

function numbers(...fields: readonly (readonly [value: number, bytes: number])[]): Buffer {
  const buffers = fields.map(([value, bytes]) => {
    const buffer = Buffer.alloc(bytes);
    buffer.writeUIntBE(value, 0, bytes);
    return buffer;
  });
  return Buffer.concat(buffers);
}

/** Section 4.3.3: what is hashed beside the message. Names in canonical form, which is lower case without compression. */
function variables(key: TsigKey, { seconds, fudge, error, other }: Fields): Buffer {
  return Buffer.concat([
    packet.name.encode(key.name.toLowerCase()),
    numbers([255, 2], [0, 4]),
    packet.name.encode(key.algorithm),
    numbers([seconds, 6], [fudge, 2], [error, 2], [other.length, 2]),
    other,
  ]);
}

function macOf(key: TsigKey, ...parts: readonly Buffer[]): Buffer {
  const hmac = createHmac(key.algorithm.replace('hmac-', ''), key.secret);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** `message` with a TSIG record at its end; `seconds` is this host's clock (since 1970). */
export function sign(message: Buffer, key: TsigKey, seconds: number): Signed {
  const fields = { seconds, fudge: FUDGE_SECONDS, error: 0, other: Buffer.alloc(0) };
  const mac = macOf(key, message, variables(key, fields));
  const data = Buffer.concat([
    packet.name.encode(key.algorithm),
    numbers([seconds, 6], [FUDGE_SECONDS, 2], [mac.length, 2]),
    mac,
    numbers([message.readUInt16BE(0), 2], [0, 2], [0, 2]),
  ]);
  const record = packet.answer.encode({ name: key.name, type: 'TSIG', class: 'ANY', ttl: 0, data });
  const bytes = Buffer.concat([message, record]);
  bytes.writeUInt16BE(message.readUInt16BE(ARCOUNT) + 1, ARCOUNT);
  return { bytes, mac };
}

/** Section 4.2. @throws when the data ends early or late. */
function parseData(data: Buffer): Omit<Found, 'keyName' | 'offset'> {
  const algorithm = packet.name.decode(data, 0).toLowerCase();
  const start = packet.name.decode.bytes;
  const macSize = data.readUInt16BE(start + 8);
  const mac = data.subarray(start + 10, start + 10 + macSize);
  const rest = start + 10 + macSize;
  if (data.length !== rest + 6 + data.readUInt16BE(rest + 4)) throw new Error('its length is wrong');
  return {
    algorithm,
    seconds: data.readUIntBE(start, 6),
    fudge: data.readUInt16BE(start + 6),
    mac,
    originalId: data.readUInt16BE(rest),
    error: data.readUInt16BE(rest + 2),
    other: data.subarray(rest + 6),
  };
}

/** The TSIG record, which is the last of a message (section 5.1). @throws when the message is malformed. */
function find(message: Buffer): Found | undefined {
  let offset = 12;
  for (let n = message.readUInt16BE(QDCOUNT); n > 0; n--) {
    packet.question.decode(message, offset);
    offset += packet.question.decode.bytes;
  }
  const records = [6, 8, ARCOUNT].reduce((sum, at) => sum + message.readUInt16BE(at), 0);
  if (message.readUInt16BE(ARCOUNT) === 0) return undefined;
  for (let n = records - 1; n > 0; n--) {
    packet.answer.decode(message, offset);
    offset += packet.answer.decode.bytes;
  }
  const last = packet.answer.decode(message, offset);
  if (offset + packet.answer.decode.bytes !== message.length) throw new Error('it does not end the message');
  packet.name.decode(message, offset);
  // Read from the bytes, since the library takes the first bit of the class for multicast DNS's.
  const klass = message.readUInt16BE(offset + packet.name.decode.bytes + 2);
  if (last.type !== 'TSIG' || klass !== 255 || last.ttl !== 0) return undefined;
  return { ...parseData(last.data as Buffer), keyName: last.name.toLowerCase(), offset };
}

function checkMac(message: Buffer, found: Found, key: TsigKey, requestMac: Buffer): boolean {
  const plain = Buffer.from(message.subarray(0, found.offset));
  plain.writeUInt16BE(found.originalId, 0);
  plain.writeUInt16BE(plain.readUInt16BE(ARCOUNT) - 1, ARCOUNT);
  // Section 5.3.1: the request's MAC with its length goes before, which ties the answer to the request.
  const expected = macOf(key, numbers([requestMac.length, 2]), requestMac, plain, variables(key, found));
  return expected.length === found.mac.length && timingSafeEqual(expected, found.mac);
}

/** Checks the answer to a request that was signed with `requestMac` (sections 5.3 and 5.4). */
export function verify(message: Buffer, key: TsigKey, requestMac: Buffer): Parsed<Verified> {
  let found: Found | undefined;
  try {
    found = find(message);
  } catch (cause) {
    return { ok: false, error: `malformed TSIG (${(cause as Error).message.slice(0, 80)})` };
  }
  if (!found) return { ok: false, error: 'the answer is not signed' };
  const error = found.error === 0 ? undefined : (ERRORS[found.error] ?? `TSIG error ${found.error}`);
  if (found.keyName !== key.name.toLowerCase() || found.algorithm !== key.algorithm)
    return { ok: false, error: 'the answer is signed with another key' };
  if (found.mac.length === 0 && error !== undefined && UNSIGNED.includes(error))
    return { ok: true, value: { error, serverSeconds: undefined } };
  if (!checkMac(message, found, key, requestMac)) return { ok: false, error: 'the signature of the answer is wrong' };
  // Section 5.2.3: with BADTIME the field repeats the client's time, and the server's own stands in Other Data.
  const serverSeconds = error === 'BADTIME' && found.other.length === 6 ? found.other.readUIntBE(0, 6) : found.seconds;
  return { ok: true, value: { error, serverSeconds } };
}
