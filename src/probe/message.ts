/** The datagram that one router sends another through the tunnel, and the answer to it. Pure. */

/** UDP port on the gateway addresses, within the stacks' networks only. Below the VXLAN ports, which are searched upwards from 4789. */
export const PROBE_PORT = 4788;

/** `DRP` and the version. */
const MAGIC = Buffer.from('DRP1');
const QUESTION = 0x3f;
const ANSWER = 0x21;
const NONCE_BYTES = 8;
/** Question and answer have one size, so an answer never amplifies. */
export const PROBE_BYTES = MAGIC.length + 1 + NONCE_BYTES;

export interface ProbeMessage {
  readonly kind: 'question' | 'answer';
  /** 16 hexadecimal digits. */
  readonly nonce: string;
}

export function encodeProbe({ kind, nonce }: ProbeMessage): Buffer {
  return Buffer.concat([MAGIC, Buffer.of(kind === 'question' ? QUESTION : ANSWER), Buffer.from(nonce, 'hex')]);
}

/** undefined for anything that is not exactly such a datagram. */
export function decodeProbe(bytes: Buffer): ProbeMessage | undefined {
  if (bytes.length !== PROBE_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const kind = bytes[MAGIC.length] === QUESTION ? 'question' : bytes[MAGIC.length] === ANSWER ? 'answer' : undefined;
  return kind && { kind, nonce: bytes.subarray(MAGIC.length + 1).toString('hex') };
}
