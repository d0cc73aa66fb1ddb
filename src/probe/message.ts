/** The datagram that one router sends another through the tunnel, and the answer to it. Pure. */

/** UDP port on the gateway addresses, within the stacks' networks only. Below the VXLAN ports, which are searched upwards from 4789. */
export const PROBE_PORT = 4788;

/** `DRP` and the version. */
const MAGIC = Buffer.from('DRP1');
const QUESTION = 0x3f;
const ANSWER = 0x21;
const NONCE_BYTES = 8;
const NONCE_AT = MAGIC.length + 1;
const WALL_AT = NONCE_AT + NONCE_BYTES;
/** The least size: what follows is padding, which tells whether large packets pass. */
export const PROBE_BYTES = WALL_AT + 8;
/** Of the MTU of any tunnel. */
export const MAX_PROBE_BYTES = 65_507;

export interface ProbeMessage {
  readonly kind: 'question' | 'answer';
  /** 16 hexadecimal digits. */
  readonly nonce: string;
  /** The sender's clock, milliseconds since 1970. */
  readonly wallMs: number;
}

/** @param bytes size of the datagram. An answer has the question's, so it never amplifies. */
export function encodeProbe({ kind, nonce, wallMs }: ProbeMessage, bytes = PROBE_BYTES): Buffer {
  const buffer = Buffer.alloc(bytes);
  MAGIC.copy(buffer);
  buffer[MAGIC.length] = kind === 'question' ? QUESTION : ANSWER;
  buffer.write(nonce, NONCE_AT, 'hex');
  buffer.writeBigUInt64BE(BigInt(Math.max(0, Math.round(wallMs))), WALL_AT);
  return buffer;
}

/** undefined for anything that is not such a datagram. */
export function decodeProbe(bytes: Buffer): ProbeMessage | undefined {
  if (bytes.length < PROBE_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const mark = bytes[MAGIC.length];
  const kind = mark === QUESTION ? 'question' : mark === ANSWER ? 'answer' : undefined;
  const wallMs = Number(bytes.readBigUInt64BE(WALL_AT));
  return kind && { kind, nonce: bytes.subarray(NONCE_AT, WALL_AT).toString('hex'), wallMs };
}
