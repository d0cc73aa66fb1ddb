/**
 * The gate through which every record and message leaves and enters where trust is on: signs and seals, opens and verifies, and refuses
 * what was forged, altered, replayed, reflected, is out of its time, or is of another identity than its stack's.
 */
import { join } from 'node:path';
import * as v from 'valibot';
import type { TrustConfig } from '../config/trust-config.ts';
import type { Clock } from '../process/clock.ts';
import { type Flat, toFlat } from '../record/flat.ts';
import { StackIdSchema, type StackRecord } from '../record/record.ts';
import { Bindings } from './bindings.ts';
import { packFlat, unpackFlat } from './compact.ts';
import { type Envelope, NOT_SEALED, type Opened, type Purpose, type RefusalKind } from './envelope.ts';
import {
  type Body,
  decodeBody,
  decodeFrame,
  encodeHeader,
  encodeStamp,
  type Frame,
  type Stamp,
  signedPart,
} from './frame.ts';
import { fingerprintOf, isSignedBy, type OwnIdentity } from './identity.ts';
import { KeyRing } from './key-ring.ts';
import { isLater, Marks } from './marks.ts';
import { type Refused, RefusedStacks } from './refused.ts';
import { notListed, otherIdentity, outOfTime } from './words.ts';

/** A record that lies somewhere is closed anew three times in this time, and not believed after it. */
export const RECORD_VALID_MS = 3_600_000;
export const RECLOSE_MS = RECORD_VALID_MS / 3;
/** A message is for now: only the clocks' tolerance counts. */
const VALID_MS: Record<Purpose, number> = {
  announce: 0,
  query: 0,
  goodbye: 0,
  etcd: RECORD_VALID_MS,
  dns: RECORD_VALID_MS,
  gossip: RECORD_VALID_MS,
};
const NOBODY = Buffer.alloc(0);

export interface GateParts {
  readonly stackId: string;
  readonly config: TrustConfig;
  readonly identity: OwnIdentity | undefined;
  readonly clock: Clock;
  /** Greater than that of every earlier process of this identity, in milliseconds since 1970. */
  readonly boot: number;
  /** A refused stack came, changed or went. */
  readonly changed: () => void;
}

/** What an envelope holds once it is open, before anybody is believed. */
interface Contents {
  readonly purpose: Purpose;
  readonly flat: Flat;
  readonly stackId: string;
  readonly stamp: Stamp;
  readonly fingerprint: string | undefined;
}

const refuse = (kind: RefusalKind, error: string) => ({ ok: false, kind, error }) as const;

export class Gate implements Envelope {
  readonly #parts: GateParts;
  readonly #marks: Marks;
  readonly #refused = new RefusedStacks();
  readonly bindings: Bindings;
  #ring: KeyRing | undefined;
  #number = 0;
  #ownInstance: string | undefined;
  #closed = new WeakMap<StackRecord, Map<Purpose, Buffer>>();

  /** @throws when IDENTITY_DIR cannot be read or written. */
  constructor(parts: GateParts) {
    this.#parts = parts;
    const { identityDir, trustedPeers } = parts.config;
    this.#marks = new Marks(identityDir === undefined ? undefined : join(identityDir, 'seen'));
    this.bindings = new Bindings(identityDir, trustedPeers);
    this.bindings.refresh();
    this.useKeys(parts.config.keys);
  }

  get seals(): boolean {
    return this.#ring !== undefined;
  }

  get keyNames(): readonly string[] {
    return this.#ring?.names ?? [];
  }

  /** From now on the first of `keys` seals. What was closed before is closed anew when it is asked for with a new record. */
  useKeys(keys: readonly Buffer[]): void {
    this.#ring = keys.length > 0 ? new KeyRing(keys) : undefined;
    this.#closed = new WeakMap();
  }

  close(purpose: Purpose, flat: Flat): Buffer {
    const { identity, stackId, clock } = this.#parts;
    this.#ownInstance = flat.inst;
    // The record's own start also grows where the clock went back and there is no volume to remember it.
    const boot = Math.max(this.#parts.boot, Number.parseInt(flat.boot ?? '0', 36));
    this.#number += 1;
    const stamp = { at: clock.wall(), boot, number: this.#number, validSeconds: VALID_MS[purpose] / 1000 };
    const header =
      this.#ring?.header(purpose, stackId, identity !== undefined) ??
      encodeHeader({ purpose, sealed: false, signed: true, keyId: Buffer.alloc(4), sender: Buffer.alloc(8) });
    const fields = packFlat(flat);
    const publicKey = identity?.publicKey ?? NOBODY;
    const signature = identity?.sign(signedPart(header, stamp, publicKey, fields)) ?? NOBODY;
    const body = Buffer.concat([encodeStamp(stamp), publicKey, signature, fields]);
    return this.#ring ? this.#ring.seal(header, body) : Buffer.concat([header, body]);
  }

  closeRecord(purpose: Purpose, record: StackRecord): Buffer {
    const closed = this.#closed.get(record) ?? new Map<Purpose, Buffer>();
    const bytes = closed.get(purpose) ?? this.close(purpose, toFlat(record));
    this.#closed.set(record, closed.set(purpose, bytes));
    return bytes;
  }

  open(purpose: Purpose, bytes: Buffer): Opened {
    const frame = decodeFrame(bytes);
    if (!frame.ok) return refuse('malformed', frame.error);
    const { header } = frame.value;
    if (header.purpose !== purpose) return refuse('forged', `it was made for ${header.purpose}`);
    if (this.#ring && !header.sealed) return refuse('not sealed', 'it is signed and not sealed');
    const plain = this.#unseal(frame.value);
    if (!plain.ok) return plain;
    const body = decodeBody(plain.body, header.signed);
    if (!body.ok) return refuse('malformed', body.error);
    return this.#read(frame.value, body.value);
  }

  /** Only where nothing is sealed: then a stack without an identity is believed as long as nobody is bound to its id. */
  openClear(flat: Flat): Opened {
    if (this.#ring) return NOT_SEALED;
    const { id } = flat;
    if (!v.is(StackIdSchema, id)) return refuse('malformed', 'it names no stack');
    if (id === this.#parts.stackId && flat.inst === this.#ownInstance) return refuse('own', 'it is our own');
    return this.#stranger(id, undefined) ?? { ok: true, flat };
  }

  /** Stacks that are refused for who they are, heard since `from` (monotonic milliseconds). */
  refused(from: number): Refused[] {
    return this.#refused.since(from);
  }

  /** Takes note of what `trust forget` did. Returns whether it did something. @throws when IDENTITY_DIR cannot be read. */
  refresh(): boolean {
    return this.bindings.refresh();
  }

  stop(): void {
    this.#marks.close();
  }

  #unseal(frame: Frame): { readonly ok: true; readonly body: Buffer } | Extract<Opened, { ok: false }> {
    if (!frame.header.sealed) return { ok: true, body: frame.body };
    const unsealed = this.#ring?.open(frame);
    if (unsealed?.ok) return unsealed;
    if (unsealed?.known) return refuse('forged', 'it was altered, or made without the key');
    return refuse('sealed with another key', 'set the same DISCOVERY_KEYS in every stack');
  }

  #read(frame: Frame, body: Body): Opened {
    const { header } = frame;
    const fields = unpackFlat(body.fields);
    if (!fields.ok) return refuse('malformed', fields.error);
    const flat = fields.value;
    const { id = '', inst = '' } = flat;
    if (!v.is(StackIdSchema, id)) return refuse('malformed', 'it names no stack');
    if (header.sealed && !this.#ring?.isFrom(header, id))
      return refuse('forged', 'its sender is not the stack it names');
    const { identity, stackId } = this.#parts;
    const own = header.signed ? identity?.publicKey.equals(body.publicKey) === true : inst === this.#ownInstance;
    if (id === stackId && own) return refuse('own', 'it is our own');
    const fingerprint = header.signed ? fingerprintOf(body.publicKey) : undefined;
    const sender = `${header.purpose} ${id} ${fingerprint ?? inst}`;
    if (this.#isReplay(header.purpose, sender, body.stamp)) return refuse('replayed', `of ${id}`);
    const signed = signedPart(frame.headerBytes, body.stamp, body.publicKey, body.fields);
    if (header.signed && !isSignedBy(body.publicKey, signed, body.signature))
      return refuse('forged', `its signature does not verify (${id})`);
    const contents = { purpose: header.purpose, flat, stackId: id, stamp: body.stamp, fingerprint };
    return this.#believe(contents, sender);
  }

  /** A message counts once; a record that lies somewhere may be read again until a later one has been. */
  #isReplay(purpose: Purpose, sender: string, stamp: Stamp): boolean {
    const newest = this.#marks.newest(sender);
    if (!newest) return false;
    return VALID_MS[purpose] === 0 ? !isLater(stamp, newest) : isLater(newest, stamp);
  }

  #believe(contents: Contents, sender: string): Opened {
    const { stackId, fingerprint, stamp, purpose, flat } = contents;
    const stranger = this.#stranger(stackId, fingerprint);
    const wall = this.#parts.clock.wall();
    const late = stranger ? undefined : outOfTime(stamp, wall, this.#parts.config.clockToleranceMs);
    const refusal = stranger ?? (late === undefined ? undefined : refuse('out of time', `${stackId}: ${late}`));
    if (refusal) {
      const reason = stranger ? stranger.error : late!;
      if (this.#refused.note(purpose, flat, fingerprint, reason, this.#parts.clock.monotonic())) this.#parts.changed();
      return refusal;
    }
    const newest = this.#marks.newest(sender);
    if (!newest || isLater(stamp, newest)) this.#marks.advance(sender, stamp);
    if (fingerprint !== undefined && this.bindings.standing(stackId, fingerprint) === 'new')
      this.bindings.bind(stackId, fingerprint, wall);
    if (this.#refused.clear(stackId, fingerprint)) this.#parts.changed();
    return { ok: true, flat };
  }

  /** Why this identity may not speak for this stack. */
  #stranger(stackId: string, fingerprint: string | undefined): Extract<Opened, { ok: false }> | undefined {
    const own = this.#parts.identity;
    if (stackId === this.#parts.stackId && own && fingerprint !== own.fingerprint)
      return refuse('other identity', otherIdentity(stackId, own.fingerprint, fingerprint, true));
    const standing = this.bindings.standing(stackId, fingerprint);
    if (standing === 'unlisted') return refuse('not trusted', notListed(stackId, fingerprint));
    if (standing === 'full' && fingerprint !== undefined)
      return refuse(
        'not trusted',
        `stack ${stackId} is one too many: this stack keeps no more identities; set TRUSTED_PEERS`,
      );
    if (typeof standing === 'object')
      return refuse('other identity', otherIdentity(stackId, standing.boundTo, fingerprint, false));
    return undefined;
  }
}
