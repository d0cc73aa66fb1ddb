/** The group's keys: the first seals, all of them open. */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import {
  encodeHeader,
  type Frame,
  HEADER_BYTES,
  type Header,
  KEY_ID_BYTES,
  NONCE_BYTES,
  SENDER_BYTES,
  TAG_BYTES,
} from './frame.ts';

const derive = (key: Buffer, use: string, data: Buffer | string = '') =>
  createHmac('sha256', key).update(`docker-router 1 ${use}\0`).update(data).digest();

interface Key {
  readonly secret: Buffer;
  readonly id: Buffer;
}

export type Unsealed = { readonly ok: true; readonly body: Buffer } | { readonly ok: false; readonly known: boolean };

export class KeyRing {
  readonly #keys: readonly Key[];

  /** `secrets` of 32 bytes each, at least one. */
  constructor(secrets: readonly Buffer[]) {
    this.#keys = secrets.map((secret) => ({ secret, id: derive(secret, 'key id').subarray(0, KEY_ID_BYTES) }));
  }

  /** Names of the keys for a log line; nothing can be learnt of the keys from them. */
  get names(): string[] {
    return this.#keys.map(({ id }) => id.toString('hex'));
  }

  /** The header of a sealed envelope from a stack. */
  header(purpose: Header['purpose'], stackId: string, signed: boolean): Buffer {
    const { id, secret } = this.#keys[0]!;
    return encodeHeader({ purpose, sealed: true, signed, keyId: id, sender: senderOf(secret, stackId) });
  }

  /**
   * A key for each sender, so that the random nonces of many do not meet: NIST SP 800-38D section 8.3 allows 2^32 of them for one key.
   */
  seal(headerBytes: Buffer, body: Buffer): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const key = sealingKey(this.#keys[0]!.secret, headerBytes.subarray(HEADER_BYTES - SENDER_BYTES));
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(headerBytes);
    const sealed = Buffer.concat([cipher.update(body), cipher.final()]);
    return Buffer.concat([headerBytes, nonce, sealed, cipher.getAuthTag()]);
  }

  /** `known`: a key of this name is in the ring, so that the envelope was forged or damaged. Never throws. */
  open({ header, headerBytes, nonce, body, tag }: Frame): Unsealed {
    const candidates = this.#keys.filter(({ id }) => id.equals(header.keyId));
    for (const { secret } of candidates) {
      const decipher = createDecipheriv('aes-256-gcm', sealingKey(secret, header.sender), nonce, {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(headerBytes).setAuthTag(tag);
      try {
        return { ok: true, body: Buffer.concat([decipher.update(body), decipher.final()]) };
      } catch {
        // Another key may have the same name.
      }
    }
    return { ok: false, known: candidates.length > 0 };
  }

  /** Whether the header names this stack as the sender. */
  isFrom(header: Header, stackId: string): boolean {
    return this.#keys.some(
      ({ id, secret }) => id.equals(header.keyId) && senderOf(secret, stackId).equals(header.sender),
    );
  }
}

const senderOf = (secret: Buffer, stackId: string) => derive(secret, 'sender', stackId).subarray(0, SENDER_BYTES);
const sealingKey = (secret: Buffer, sender: Buffer) => derive(secret, 'seal', sender);
