/**
 * The flat form of a record in few bytes: gossip has room for 512 in all and a signature takes 96 of them. A key is a number, an address four
 * bytes, a subnet five. Whatever does not come back the same from its short form travels as text, so every key and value survives; a key
 * that a later version adds needs nothing here. Pure.
 *
 *     entry: code (1) | name length (1) and name, when code is 0 | form (3 bits) and length (13 bits) | value
 */
import { formatIpv4, parseIpv4 } from '../net/ipv4.ts';
import type { Flat } from '../record/flat.ts';
import type { Parsed } from '../record/record.ts';

/** Code of a key is its place here plus 1. Append only: the codes are what is on the wire. */
const NAMES = [
  ...['id', 'ip', 'vni', 'port', 'net', 'net2', 'gw', 'mac', 'inst', 'since', 'boot', 'seq'],
  ...['every', 'lease', 'until', 'n', 'wg', 'wgport', 'k.wireguard'],
  ...['wgslot', 'wg0', 'wg0port', 'wg1', 'wg1port'],
];
const MAX_ENTRIES = 64;
const MAX_VALUE_BYTES = 0x1fff;

interface Form {
  /** undefined: not a value of this form. */
  pack(text: string): Uint8Array | undefined;
  unpack(bytes: Buffer): string;
}

function bigEndian(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  let from = 0;
  while (from < 7 && bytes[from] === 0) from += 1;
  return bytes.subarray(from);
}

const numberIn = (radix: 10 | 36): Form => ({
  pack(text) {
    const value = /^[0-9a-z]{1,11}$/.test(text) ? Number.parseInt(text, radix) : Number.NaN;
    return Number.isSafeInteger(value) ? bigEndian(value) : undefined;
  },
  unpack: (bytes) => BigInt(`0x${bytes.toString('hex') || '0'}`).toString(radix),
});

const address = (text: string): Buffer | undefined => {
  const value = parseIpv4(text);
  return value === undefined
    ? undefined
    : Buffer.from([value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
};

function packPrefixes(text: string): Buffer | undefined {
  const packed = text.split(',').map((prefix) => {
    const [base = '', length = ''] = prefix.split('/');
    const bytes = address(base);
    return bytes && /^\d{1,2}$/.test(length) ? Buffer.concat([bytes, Buffer.from([Number(length)])]) : undefined;
  });
  return packed.includes(undefined) ? undefined : Buffer.concat(packed.filter((bytes) => bytes !== undefined));
}

const PREFIX = /^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\/(\d{1,2})$/;

/** Subnets that resemble each other: how many bytes are those of the one before (2 bits), length (6 bits), and the bytes after them that the length covers. */
function packSimilar(text: string): Buffer | undefined {
  let before: Buffer = Buffer.alloc(4);
  const parts: Buffer[] = [];
  for (const prefix of text.split(',')) {
    const [, base = '', length = ''] = PREFIX.exec(prefix) ?? [];
    const bytes = address(base);
    if (!bytes || Number(length) > 32) return undefined;
    let same = 0;
    while (same < 3 && bytes[same] === before[same]) same += 1;
    parts.push(
      Buffer.from([(same << 6) | Number(length)]),
      bytes.subarray(same, Math.max(same, Math.ceil(Number(length) / 8))),
    );
    before = bytes;
  }
  return Buffer.concat(parts);
}

function unpackSimilar(bytes: Buffer): string {
  const before = Buffer.alloc(4);
  const prefixes: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const head = bytes[at]!;
    const [same, length] = [head >>> 6, head & 63];
    const covered = Math.max(same, Math.min(4, Math.ceil(length / 8)));
    before.fill(0, same);
    bytes.copy(before, same, at + 1, at + 1 + covered - same);
    at += 1 + covered - same;
    prefixes.push(`${formatIpv4(before.readUInt32BE())}/${length}`);
  }
  return prefixes.join(',');
}

const encoded = (encoding: 'hex' | 'base64'): Form => ({
  pack: (text) => (text.length < 8 ? undefined : Buffer.from(text, encoding)),
  unpack: (bytes) => bytes.toString(encoding),
});

/** Its number is on the wire: append only. The first that fits and is shorter is taken. */
const FORMS: readonly Form[] = [
  { pack: (text) => Buffer.from(text), unpack: (bytes) => bytes.toString('utf8') },
  { pack: address, unpack: (bytes) => (bytes.length === 4 ? formatIpv4(bytes.readUInt32BE()) : '') },
  {
    pack: packPrefixes,
    unpack: (bytes) =>
      Array.from({ length: Math.floor(bytes.length / 5) }, (_, i) => i * 5)
        .map((at) => `${formatIpv4(bytes.readUInt32BE(at))}/${bytes[at + 4]}`)
        .join(','),
  },
  numberIn(10),
  numberIn(36),
  encoded('hex'),
  encoded('base64'),
  { pack: packSimilar, unpack: unpackSimilar },
];

function packValue(text: string): Buffer {
  let best: { form: number; bytes: Uint8Array } = { form: 0, bytes: Buffer.from(text) };
  for (const [form, { pack, unpack }] of FORMS.entries()) {
    const bytes = pack(text);
    if (bytes && bytes.length < best.bytes.length && unpack(Buffer.from(bytes)) === text) best = { form, bytes };
  }
  if (best.bytes.length > MAX_VALUE_BYTES) throw new RangeError('a value is too long');
  const head = Buffer.alloc(2);
  head.writeUInt16BE((best.form << 13) | best.bytes.length);
  return Buffer.concat([head, best.bytes]);
}

function packName(name: string): Buffer {
  const code = NAMES.indexOf(name) + 1;
  if (code > 0) return Buffer.from([code]);
  const text = Buffer.from(name);
  return Buffer.concat([Buffer.from([0, text.length]), text]);
}

/** @throws RangeError when a value is longer than 8,191 bytes. */
export function packFlat(flat: Flat): Buffer {
  return Buffer.concat(Object.entries(flat).flatMap(([name, value]) => [packName(name), packValue(value)]));
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** @throws RangeError beyond the end. */
  take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError('it ends too early');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  byte(): number {
    return this.take(1)[0]!;
  }
}

function readName(reader: Reader): string {
  const code = reader.byte();
  const name = code === 0 ? reader.take(reader.byte()).toString('utf8') : NAMES[code - 1];
  if (name === undefined) throw new RangeError(`it has a field of number ${code}, which this version does not know`);
  return name;
}

/** The fields, or why the bytes are none. Never throws. */
export function unpackFlat(bytes: Buffer): Parsed<Flat> {
  const flat = new Map<string, string>();
  try {
    const reader = new Reader(bytes);
    while (!reader.done) {
      const name = readName(reader);
      const head = reader.take(2).readUInt16BE();
      const form = FORMS[head >>> 13];
      const value = reader.take(head & MAX_VALUE_BYTES);
      if (!form || flat.has(name) || flat.size >= MAX_ENTRIES) throw new RangeError('its fields are malformed');
      flat.set(name, form.unpack(value));
    }
  } catch (cause) {
    return { ok: false, error: (cause as Error).message };
  }
  return { ok: true, value: Object.fromEntries(flat) };
}
