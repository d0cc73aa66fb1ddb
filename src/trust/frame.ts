/**
 * Layout of an envelope, big-endian. Pure.
 *
 *     0   magic and version (3)
 *     3   purpose (1)
 *     4   flags (1): 1 sealed, 2 signed
 *     5   key id (4): which key of the ring sealed it; 0 when not sealed
 *     9   sender (8): keyed hash of the stack's id, so that it names the sender to the group only; 0 when not sealed
 *    17   nonce (12), only when sealed
 *         body: sealed by AES-256-GCM with bytes 0 to 16 as associated data, or in clear
 *         tag (16), only when sealed
 *
 *     body: time sealed, ms since 1970 (6) | boot (6) | number (6) | valid for, s (4) | public key (32) and signature (64), only when signed | fields
 *
 * The signature (Ed25519) covers bytes 0 to 16 and the body without itself.
 */
import type { Parsed } from '../record/record.ts';
import { MAGIC, MAX_ENVELOPE_BYTES, PURPOSES, type Purpose } from './envelope.ts';

export const SEALED = 1;
export const SIGNED = 2;
export const HEADER_BYTES = 17;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
export const KEY_ID_BYTES = 4;
export const SENDER_BYTES = 8;
export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;
const STAMP_BYTES = 22;

export interface Header {
  readonly purpose: Purpose;
  readonly sealed: boolean;
  readonly signed: boolean;
  readonly keyId: Buffer;
  readonly sender: Buffer;
}

export interface Frame {
  readonly header: Header;
  /** The header as it stands in the envelope. */
  readonly headerBytes: Buffer;
  /** Empty when not sealed, as is the tag. */
  readonly nonce: Buffer;
  readonly body: Buffer;
  readonly tag: Buffer;
}

/** When an envelope was closed and which of its sender's it is. */
export interface Stamp {
  /** By the sender's clock, in milliseconds since 1970. */
  readonly at: number;
  readonly boot: number;
  readonly number: number;
  /** How long after `at` it may still be believed, in seconds. */
  readonly validSeconds: number;
}

export interface Body {
  readonly stamp: Stamp;
  readonly publicKey: Buffer;
  readonly signature: Buffer;
  readonly fields: Buffer;
}

export function encodeHeader(header: Header): Buffer {
  const flags = (header.sealed ? SEALED : 0) | (header.signed ? SIGNED : 0);
  return Buffer.concat([
    MAGIC,
    Buffer.from([PURPOSES.indexOf(header.purpose) + 1, flags]),
    header.keyId,
    header.sender,
  ]);
}

/** Parts of an envelope; an error when it is none of this version. */
export function decodeFrame(bytes: Buffer): Parsed<Frame> {
  if (bytes.length > MAX_ENVELOPE_BYTES) return { ok: false, error: `larger than ${MAX_ENVELOPE_BYTES} bytes` };
  if (bytes.length < HEADER_BYTES || bytes.compare(MAGIC, 0, 3, 0, 3) !== 0) return { ok: false, error: 'no envelope' };
  const purpose = PURPOSES[bytes[3]! - 1];
  const flags = bytes[4]!;
  if (purpose === undefined || flags < 1 || flags > 3) return { ok: false, error: 'an envelope of another version' };
  const sealed = (flags & SEALED) !== 0;
  const [front, back] = sealed ? [HEADER_BYTES + NONCE_BYTES, TAG_BYTES] : [HEADER_BYTES, 0];
  if (bytes.length < front + back) return { ok: false, error: 'truncated' };
  const header = {
    purpose,
    sealed,
    signed: (flags & SIGNED) !== 0,
    keyId: bytes.subarray(5, 9),
    sender: bytes.subarray(9, HEADER_BYTES),
  };
  const frame = {
    header,
    headerBytes: bytes.subarray(0, HEADER_BYTES),
    nonce: bytes.subarray(HEADER_BYTES, front),
    body: bytes.subarray(front, bytes.length - back),
    tag: bytes.subarray(bytes.length - back),
  };
  return { ok: true, value: frame };
}

export function encodeStamp(stamp: Stamp): Buffer {
  const bytes = Buffer.alloc(STAMP_BYTES);
  bytes.writeUIntBE(stamp.at, 0, 6);
  bytes.writeUIntBE(stamp.boot, 6, 6);
  bytes.writeUIntBE(stamp.number, 12, 6);
  bytes.writeUInt32BE(stamp.validSeconds, 18);
  return bytes;
}

export function decodeBody(body: Buffer, signed: boolean): Parsed<Body> {
  const front = STAMP_BYTES + (signed ? PUBLIC_KEY_BYTES + SIGNATURE_BYTES : 0);
  if (body.length < front) return { ok: false, error: 'truncated' };
  const stamp = {
    at: body.readUIntBE(0, 6),
    boot: body.readUIntBE(6, 6),
    number: body.readUIntBE(12, 6),
    validSeconds: body.readUInt32BE(18),
  };
  const publicKey = body.subarray(STAMP_BYTES, signed ? STAMP_BYTES + PUBLIC_KEY_BYTES : STAMP_BYTES);
  const signature = body.subarray(STAMP_BYTES + publicKey.length, front);
  return { ok: true, value: { stamp, publicKey, signature, fields: body.subarray(front) } };
}

/** What is signed. */
export function signedPart(headerBytes: Buffer, stamp: Stamp, publicKey: Buffer, fields: Buffer): Buffer {
  return Buffer.concat([headerBytes, encodeStamp(stamp), publicKey, fields]);
}
