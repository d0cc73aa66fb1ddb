/**
 * What every source has seen of every stack. Knows nothing of transports, clocks or files: each transition is given the time.
 * A stack is known by its id and its instance, so two stacks that claim one id are two rows, and `judge` decides between them.
 */
import { type Identity, isNewer, type StackRecord } from '../record/record.ts';

/** More stacks than this are not stored: a flood of invented ids must not eat the memory. */
export const MAX_STACKS = 16_384;
/** Claims to one id that are kept at a time. */
export const MAX_CLAIMS = 4;

/** Times in milliseconds of a monotonic clock. A lease-like source gives no lifetime: its sightings end by `remove` or a snapshot. */
export interface Lifetime {
  readonly staleAfterMs: number;
  readonly expireAfterMs: number;
}

/** Who is gone; boot and seq, where known, order it against what was seen. */
export type Gone = Identity & Partial<Pick<StackRecord, 'boot' | 'seq'>>;

interface Sighting {
  record: StackRecord;
  seenAt: number;
  staleAt: number;
  expiresAt: number;
  /** Its source no longer sees it, and gives it time to come back. */
  fading?: true;
}

interface Row {
  readonly sightings: Map<string, Sighting>;
}

/** A stack as the table sees it: the freshest record of all sources. */
export interface Known {
  readonly record: StackRecord;
  readonly source: string;
  /** Monotonic milliseconds of the latest sighting by any source. */
  readonly seenAt: number;
  /** No source has a fresh sighting. */
  readonly stale: boolean;
}

/** `changed` also when a stale sighting came back to life; `outdated` and `full` were not stored. */
export type Outcome = 'new' | 'changed' | 'refreshed' | 'outdated' | 'full';

const keyOf = ({ stack_id, instance }: Identity) => `${stack_id}/${instance}`;

/** One host, one UDP port, one gateway: two living stacks cannot share these, so a new instance there is the old one's successor. */
function succeeds(newer: StackRecord, older: StackRecord): boolean {
  return (
    newer.stack_id === older.stack_id &&
    newer.vxlan_port !== undefined &&
    newer.vxlan_port === older.vxlan_port &&
    newer.host_ip === older.host_ip &&
    newer.gateway_ip === older.gateway_ip &&
    newer.boot > older.boot
  );
}

export class PeerTable {
  readonly #rows = new Map<string, Row>();
  readonly #claims = new Map<string, Set<string>>();
  /** Sources that are out of reach, and since when: what they saw is stale but stays. */
  readonly #down = new Map<string, number>();

  get size(): number {
    return this.#rows.size;
  }

  upsert(source: string, record: StackRecord, now: number, lifetime?: Lifetime): Outcome {
    const key = keyOf(record);
    let row = this.#rows.get(key);
    const isNew = row === undefined;
    if (!row) {
      this.#dropPredecessors(source, record);
      const claims = this.#claims.get(record.stack_id) ?? new Set();
      if (this.#rows.size >= MAX_STACKS || claims.size >= MAX_CLAIMS) return 'full';
      this.#claims.set(record.stack_id, claims.add(key));
      row = { sightings: new Map() };
      this.#rows.set(key, row);
    }
    const known = row.sightings.get(source);
    if (known && isNewer(known.record, record)) return 'outdated';
    const changed = !known || isNewer(record, known.record) || known.staleAt <= now;
    row.sightings.set(source, {
      record,
      seenAt: now,
      staleAt: lifetime ? now + lifetime.staleAfterMs : Number.POSITIVE_INFINITY,
      expiresAt: lifetime ? now + lifetime.expireAfterMs : Number.POSITIVE_INFINITY,
    });
    return isNew ? 'new' : changed ? 'changed' : 'refreshed';
  }

  /**
   * A goodbye or a deleted key. One older than what is known (a reordered or replayed goodbye) is ignored. With `fadeMs` the sighting stays that
   * much longer, stale. Returns whether the view changed.
   */
  remove(source: string, gone: Gone, now: number, fadeMs = 0): boolean {
    const key = keyOf(gone);
    const row = this.#rows.get(key);
    const sighting = row?.sightings.get(source);
    if (!row || !sighting) return false;
    if (
      gone.boot !== undefined &&
      gone.seq !== undefined &&
      isNewer(sighting.record, { boot: gone.boot, seq: gone.seq })
    )
      return false;
    if (fadeMs > 0) this.#fade(source, sighting, now, fadeMs);
    else this.#drop(source, key, row, gone.stack_id);
    return true;
  }

  /**
   * All that a source sees now; what it saw before and no longer sees is removed, or stays for `fadeMs`, stale. Also ends the source's being down.
   */
  snapshot(source: string, records: readonly StackRecord[], now: number, lifetime?: Lifetime, fadeMs = 0): void {
    const present = new Set(records.map(keyOf));
    for (const [key, row] of this.#rows) {
      const sighting = present.has(key) ? undefined : row.sightings.get(source);
      if (sighting) {
        const { stack_id, instance } = sighting.record;
        this.remove(source, { stack_id, instance }, now, fadeMs);
      }
    }
    this.#down.delete(source);
    for (const record of records) this.upsert(source, record, now, lifetime);
  }

  setReachable(source: string, reachable: boolean, now: number): void {
    if (reachable) this.#down.delete(source);
    else if (!this.#down.has(source)) this.#down.set(source, now);
  }

  /** Time in which a source could not hear counts towards no stack's silence: what it has seen stays so much longer, and is stale meanwhile as ever. */
  putOff(source: string, forMs: number): void {
    for (const { sightings } of this.#rows.values()) {
      const sighting = sightings.get(source);
      if (sighting && !sighting.fading) sighting.expiresAt += forMs;
    }
  }

  /** Drops sightings past their time. Returns the stacks that no source sees any more. */
  expire(now: number): StackRecord[] {
    const gone: StackRecord[] = [];
    for (const [key, row] of this.#rows) {
      for (const [source, sighting] of row.sightings) {
        if (sighting.expiresAt > now) continue;
        row.sightings.delete(source);
        if (row.sightings.size === 0) {
          gone.push(sighting.record);
          this.#delete(key, sighting.record.stack_id);
        }
      }
    }
    return gone;
  }

  /** When the view next changes by the mere passing of time; infinity when never. */
  nextDeadline(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const row of this.#rows.values()) {
      for (const { staleAt, expiresAt } of row.sightings.values()) {
        next = Math.min(next, staleAt > now ? staleAt : expiresAt);
      }
    }
    return next;
  }

  /** Every known stack, in a stable order. */
  view(now: number): Known[] {
    return [...this.#rows.keys()].sort().map((key) => this.#freshest(this.#rows.get(key)!, now));
  }

  #freshest(row: Row, now: number): Known {
    let best: { source: string; sighting: Sighting } | undefined;
    let stale = true;
    let seenAt = 0;
    for (const [source, sighting] of row.sightings) {
      if (!best || isNewer(sighting.record, best.sighting.record)) best = { source, sighting };
      if (sighting.staleAt > now && !this.#down.has(source)) stale = false;
      // Without a lifetime the source sees the stack all the time, for as long as it is in reach itself.
      const lasting = sighting.expiresAt === Number.POSITIVE_INFINITY;
      seenAt = Math.max(seenAt, lasting ? (this.#down.get(source) ?? now) : sighting.seenAt);
    }
    return { record: best!.sighting.record, source: best!.source, seenAt, stale };
  }

  /** Also what fades in the source that now has another claim to the id. */
  #dropPredecessors(source: string, record: StackRecord): void {
    for (const key of this.#claims.get(record.stack_id) ?? []) {
      const row = this.#rows.get(key)!;
      const older = [...row.sightings.values()].some((sighting) => succeeds(record, sighting.record));
      if (older) this.#delete(key, record.stack_id);
      else if (row.sightings.get(source)?.fading) this.#drop(source, key, row, record.stack_id);
    }
  }

  /** The first end that was told counts: a source that tells it again does not put it off. */
  #fade(source: string, sighting: Sighting, now: number, fadeMs: number): void {
    if (sighting.expiresAt === Number.POSITIVE_INFINITY) sighting.seenAt = this.#down.get(source) ?? now;
    sighting.staleAt = Math.min(sighting.staleAt, now);
    sighting.expiresAt = Math.min(sighting.expiresAt, now + fadeMs);
    sighting.fading = true;
  }

  #drop(source: string, key: string, row: Row, stackId: string): void {
    row.sightings.delete(source);
    if (row.sightings.size === 0) this.#delete(key, stackId);
  }

  #delete(key: string, stackId: string): void {
    this.#rows.delete(key);
    const claims = this.#claims.get(stackId);
    claims?.delete(key);
    if (claims?.size === 0) this.#claims.delete(stackId);
  }
}
