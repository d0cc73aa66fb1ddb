/** This stack's key: created by a transaction, tied to a lease, taken over only from an earlier life of the same stack. */
import { isoTime } from '../../process/clock.ts';
import { randomHex } from '../../process/random.ts';
import type { StackRecord } from '../../record/record.ts';
import type { Envelope } from '../../trust/envelope.ts';
import { recordText } from '../../trust/record-text.ts';
import type { EtcdClient } from './client.ts';
import { decode, encode, recordKey } from './keys.ts';
import type { KeyValue, WatchEvent } from './messages.ts';
import { EtcdTrouble } from './trouble.ts';
import { readEntry } from './view.ts';

/** Somebody else changes the key at the same time; after this many attempts the next renewal tries again. */
const MAX_ATTEMPTS = 5;

export type Verdict =
  | { readonly kind: 'ours' }
  | { readonly kind: 'take' }
  | { readonly kind: 'refused'; readonly message: string };

/** What is to be done about the value that is already at our key. Pure. */
export function judgeHolder(
  prefix: string,
  there: KeyValue,
  record: StackRecord,
  lease: string,
  envelope?: Envelope,
): Verdict {
  const text = decode(there.value);
  if (there.lease === lease) return { kind: text === recordText('etcd', record, envelope) ? 'ours' : 'take' };
  const entry = readEntry(prefix, there, envelope);
  if (!entry.ok && entry.kind === 'other identity record') return { kind: 'refused', message: entry.error };
  // Not a stack's claim but a stray write, or our own of an earlier life: the key is ours by its name.
  if (!entry.ok) return { kind: 'take' };
  const holder = entry.record;
  const where = `on ${holder.host_ip}`;
  if (holder.instance !== record.instance) {
    const since = `since ${isoTime(holder.since)}`;
    return {
      kind: 'refused',
      message: `the stack id ${record.stack_id} is held by another stack ${where} ${since}; give one of them another STACK_ID`,
    };
  }
  if (holder.boot > record.boot) {
    return {
      kind: 'refused',
      message: `stack ${record.stack_id} was started once more ${where} with a copy of this stack's volume; stop one of them, and delete discovery.json from the copy`,
    };
  }
  return { kind: 'take' };
}

export class Claim {
  readonly #prefix: string;
  readonly #envelope: Envelope | undefined;
  /** A lease of our own choosing, so that granting and revoking need no answer of the other. */
  #lease = newLease();
  #asked = false;
  #granted = false;
  /** Time to live that etcd granted, in milliseconds. */
  ttlMs: number;
  /** The record at the key, as last put or found. */
  #held: string | undefined;
  /** Revision of the key's last change as far as known; '0' when it is absent or not known. */
  #changedAt = '0';
  #wanted: string | undefined;
  #doubts = 0;
  #withdrawn = false;

  constructor(prefix: string, ttlMs: number, envelope?: Envelope) {
    this.#prefix = prefix;
    this.#envelope = envelope;
    this.ttlMs = ttlMs;
  }

  /** Whether etcd may hold something of ours. */
  get active(): boolean {
    return this.#asked;
  }

  /** Takes note of a watch's event. Returns whether the key may no longer be as it was put, so that `hold` must look. */
  notice({ type, kv }: WatchEvent, stackId: string): boolean {
    if (kv.key !== encode(recordKey(this.#prefix, stackId))) return false;
    const known = Number(kv.mod_revision) <= Number(this.#changedAt);
    // The watch may be faster than the answer to the very put that it tells of.
    const echo = type === 'PUT' && decode(kv.value) === this.#wanted;
    if (known || echo) return false;
    this.#doubts += 1;
    this.#held = undefined;
    return true;
  }

  /** Renews the lease. Returns a revision of the store, or undefined when the lease is gone (or there was none) and `hold` must begin anew. */
  async renew(client: EtcdClient): Promise<number | undefined> {
    if (!this.#granted) return undefined;
    const { ttlMs, revision } = await client.keepAlive(this.#lease);
    if (ttlMs > 0) {
      this.ttlMs = ttlMs;
      return revision;
    }
    this.#lose();
    return undefined;
  }

  /** Makes the key hold `record`. Returns why it cannot when another stack has it. @throws EtcdTrouble */
  async hold(client: EtcdClient, record: StackRecord): Promise<string | undefined> {
    const text = recordText('etcd', record, this.#envelope);
    const key = recordKey(this.#prefix, record.stack_id);
    this.#wanted = text;
    for (let attempt = 0; attempt < MAX_ATTEMPTS && !this.#withdrawn; attempt += 1) {
      if (this.#held === text && this.#granted) return undefined;
      const refusal = await this.#attempt(client, key, record, text).catch((cause) => this.#lostLease(cause));
      if (refusal !== undefined) return refusal;
    }
    if (this.#held === text || this.#withdrawn) return undefined;
    return `the key ${key} is changed by something else all the time`;
  }

  /**
   * Says that this stack's networks are to be reached no longer, so that the end of the key, which follows, is not taken for a lease that etcd
   * ended by mistake. @throws EtcdTrouble
   */
  async leave(client: EtcdClient, record: StackRecord): Promise<void> {
    if (this.#held === undefined) return;
    const { gateway_ip: _gateway, vtep_mac: _mac, vxlan_port: _port, public_keys: _keys, ...bare } = record;
    await this.hold(client, { ...bare, subnets: [], seq: record.seq + 1 });
  }

  /** One transaction: puts the record, or learns what is there. Returns why the key is another stack's. */
  async #attempt(client: EtcdClient, key: string, record: StackRecord, text: string): Promise<string | undefined> {
    await this.#ensureLease(client);
    if (this.#withdrawn) return undefined;
    const doubts = this.#doubts;
    const answer = await client.putIf(key, this.#changedAt, text, this.#lease);
    const { there } = answer.put ? { there: undefined } : answer;
    const verdict = there && judgeHolder(this.#prefix, there, record, this.#lease, this.#envelope);
    this.#changedAt = answer.put ? answer.revision : (there?.mod_revision ?? '0');
    // A deletion that was told while the answer was under way may be the later of the two: then the next attempt looks.
    if ((answer.put || verdict?.kind === 'ours') && doubts === this.#doubts) this.#held = text;
    if (verdict?.kind !== 'refused') return undefined;
    this.#held = undefined;
    this.#changedAt = '0';
    return verdict.message;
  }

  async #ensureLease(client: EtcdClient): Promise<void> {
    if (this.#granted) return;
    this.#asked = true;
    this.ttlMs = await client.grant(this.#lease, this.ttlMs);
    this.#granted = true;
  }

  /** Takes everything back, for good: what `hold` has under way is tied to the lease and ends with it. @throws EtcdTrouble */
  async revoke(client: EtcdClient, timeoutMs: number): Promise<void> {
    this.#withdrawn = true;
    await client.revoke(this.#lease, timeoutMs);
  }

  #lostLease(cause: unknown): undefined {
    if (!(cause instanceof EtcdTrouble) || cause.kind !== 'no lease') throw cause;
    this.#lose();
    return undefined;
  }

  #lose(): void {
    this.#lease = newLease();
    this.#asked = false;
    this.#granted = false;
    this.#held = undefined;
  }
}

/** 62 random bits: positive in etcd's signed 64, and never 0, which would ask etcd to choose. */
function newLease(): string {
  return String((BigInt(`0x${randomHex(8)}`) >> 2n) | 1n);
}
