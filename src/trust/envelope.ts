/**
 * How a record leaves this stack and enters from another: signed, sealed, or both. The sources carry envelopes and know nothing of keys; without
 * DISCOVERY_KEYS and IDENTITY_DIR there is no envelope and a source writes records in clear. Only types here, so that nothing of
 * node:crypto is loaded where trust is off.
 */
import type { Flat } from '../record/flat.ts';
import type { StackRecord } from '../record/record.ts';

/** What an envelope is for. Part of what is authenticated: a goodbye cannot be made into an announcement, nor a record of etcd into a datagram. */
export const PURPOSES = ['announce', 'query', 'goodbye', 'etcd', 'dns', 'gossip'] as const;
export type Purpose = (typeof PURPOSES)[number];

/** First bytes of every envelope: no JSON begins so, and no UTF-8 text. */
export const MAGIC = Buffer.from([0xd7, 0x52, 0x01]);
/** The binary form where a transport carries text. */
export const TEXT_PREFIX = 'dr1.';
/** Largest envelope, in bytes. A typical one takes 250. */
export const MAX_ENVELOPE_BYTES = 4096;

/** Fixed words, so that they can be counted. */
export type RefusalKind =
  /** This stack's own: heard back, or reflected by somebody. */
  | 'own'
  | 'not sealed'
  | 'sealed with another key'
  | 'forged'
  | 'malformed'
  | 'replayed'
  | 'out of time'
  | 'other identity'
  | 'not trusted';

export type Opened =
  | { readonly ok: true; readonly flat: Flat }
  | { readonly ok: false; readonly kind: RefusalKind; readonly error: string };

export interface Envelope {
  /** Whether everything is sealed, so that nothing may leave in clear. */
  readonly seals: boolean;
  /** A message for now: its time and number are new at each call. */
  close(purpose: Purpose, flat: Flat): Buffer;
  /** A record to be left somewhere. The same bytes for the same object, so that a source can tell whether it has written them already. */
  closeRecord(purpose: Purpose, record: StackRecord): Buffer;
  open(purpose: Purpose, bytes: Buffer): Opened;
  /** A record that came in clear; refused at once, whatever it says, where this stack seals. */
  openClear(flat: Flat): Opened;
}

/** What a stack with keys says of what came without. */
export const NOT_SEALED = {
  ok: false,
  kind: 'not sealed',
  error: 'it is in clear, and this stack has keys; set the same DISCOVERY_KEYS there',
} as const satisfies Opened;

export function isEnvelope(bytes: Buffer): boolean {
  return bytes.length >= MAGIC.length && bytes.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) === 0;
}

/** As the envelope says; undefined when it says nothing known. */
export function purposeOf(bytes: Buffer): Purpose | undefined {
  return PURPOSES[(bytes[MAGIC.length] ?? 0) - 1];
}

export function toText(bytes: Buffer): string {
  return TEXT_PREFIX + bytes.toString('base64url');
}

/** undefined when it is not the text of an envelope. */
export function fromText(text: string): Buffer | undefined {
  if (!text.startsWith(TEXT_PREFIX) || text.length > TEXT_PREFIX.length + (MAX_ENVELOPE_BYTES * 4) / 3 + 4)
    return undefined;
  return Buffer.from(text.slice(TEXT_PREFIX.length), 'base64url');
}

/** What a stack without keys says of an envelope. Nothing of it can be read. */
export const NO_KEYS = {
  ok: false,
  kind: 'sealed with another key',
  error: 'it is sealed or signed, and this stack has no keys; set the same DISCOVERY_KEYS here',
} as const satisfies Opened;
