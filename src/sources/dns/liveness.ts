/**
 * Who in the zone is alive. DNS has no leases: a dead stack's records stay until somebody deletes them, so every reader judges for
 * itself, by its own monotonic clock: a stack whose entry was not renewed for the length of its lease is dead. No wall clock, of
 * this host or another, can remove a peer that renews. The one thing the reader cannot observe is the time before it looked; there
 * the lease's absolute end decides, and only where it is plausible. Pure; times in milliseconds unless named otherwise.
 */
import type { Entry, Lease } from './entry.ts';

/** A lease may end this much later than this clock allows before the reader doubts it. */
const CLOCK_SLACK_SECONDS = 30;

export interface Sighting {
  readonly entry: Entry;
  /** Time without a renewal, counted only while a renewal could have been seen. */
  readonly silentMs: number;
  /** Seen for the first time with a lease that need not be alive: no peer until it renews. */
  readonly doubtful: boolean;
  /** Has missed a renewal, or nobody can renew: still a peer, but stale. */
  readonly overdue: boolean;
  /** Monotonic time of the look that saw its last renewal. */
  readonly renewedAt: number;
  /** By how much the writer's clock was ahead of ours at the last renewal, as far as it is beyond doubt. */
  readonly skewSeconds: number;
}

export type Sightings = ReadonlyMap<string, Sighting>;

export interface Look {
  /** Monotonic time of this look, and of the last one that succeeded; undefined when this is the first. */
  readonly at: number;
  readonly lastAt: number | undefined;
  /** The last look was at this same server, so what is new has just appeared and is not merely news to us. */
  readonly sameServer: boolean;
  /** Clock of the update server where it is known, otherwise this host's, in seconds since 1970. */
  readonly nowSeconds: number;
  readonly intervalMs: number;
  readonly peerTimeoutMs: number;
  /** The update server fails us. When nobody else renews either, silence proves nothing. */
  readonly updatesFail: boolean;
}

function renewed(now: Entry, before: Entry): boolean {
  const [a, b] = [now.record, before.record];
  if (a.instance !== b.instance || !now.lease || !before.lease) return true;
  return (
    a.boot - b.boot > 0 || (a.boot === b.boot && (a.seq - b.seq || now.lease.renewals - before.lease.renewals) > 0)
  );
}

/** How long a stack may be silent. Longer than PEER_TIMEOUT only where its own timeout is, since it then renews less often. */
function patienceMs(lease: Lease, look: Look): number {
  return Math.max(look.peerTimeoutMs, lease.seconds * 1000);
}

/**
 * Time since the last look, at most two intervals: after an outage nobody had the chance to renew. A renewal seen now may have
 * happened just after the last look, so this is also how old it is at most.
 */
function countedMs(look: Look): number {
  return look.lastAt === undefined ? 0 : Math.min(look.at - look.lastAt, 2 * look.intervalMs);
}

/** A living stack renews every third of its lease, so at least half of it must be left; with less, or too much, a clock is off or it is dead. */
function firstSight(entry: Entry, lease: Lease, look: Look): Sighting {
  const leftSeconds = lease.until - look.nowSeconds;
  const plausible = leftSeconds >= lease.seconds / 2 && leftSeconds <= lease.seconds + CLOCK_SLACK_SECONDS;
  const silentMs = plausible ? Math.max(0, (lease.seconds - leftSeconds) * 1000) : 0;
  return { entry, silentMs, doubtful: !plausible, overdue: false, renewedAt: look.at, skewSeconds: 0 };
}

/** A renewal was written within the last interval, by the writer's clock at the beginning of the lease. */
function skew(lease: Lease, look: Look): number {
  const ahead = lease.until - lease.seconds - look.nowSeconds;
  return Math.abs(ahead) <= CLOCK_SLACK_SECONDS + look.intervalMs / 1000 ? 0 : Math.round(ahead);
}

function sighting(entry: Entry, before: Sighting | undefined, look: Look, held: boolean): Sighting {
  const { lease } = entry;
  const fresh = { entry, doubtful: false, overdue: false, renewedAt: look.at };
  if (!lease) return { ...fresh, silentMs: 0, skewSeconds: 0 };
  if (before ? renewed(entry, before.entry) : look.sameServer)
    return { ...fresh, silentMs: countedMs(look), skewSeconds: skew(lease, look) };
  if (!before) return firstSight(entry, lease, look);
  // An older copy (a secondary that lags) is no news either: what was seen stays.
  const silentMs = before.silentMs + (held ? 0 : countedMs(look));
  // Due every third of the lease, and seen one or two looks later.
  return { ...before, silentMs, overdue: held || silentMs > (lease.seconds * 1000) / 3 + 3 * look.intervalMs };
}

/** What is known after a look at the zone. A stack that is not listed any more is forgotten. */
export function observe(before: Sightings, entries: ReadonlyMap<string, Entry>, look: Look): Map<string, Sighting> {
  const leased = [...before.values()].filter((seen) => seen.entry.lease);
  const lastRenewal = leased.reduce((last, { renewedAt }) => Math.max(last, renewedAt), 0);
  const held = look.updatesFail && look.at - lastRenewal > look.peerTimeoutMs / 2;
  const next = new Map<string, Sighting>();
  for (const [stackId, entry] of entries) next.set(stackId, sighting(entry, before.get(stackId), look, held));
  return next;
}

/** One interval early, since the next look would come after the time. */
export function isDead({ entry, silentMs }: Sighting, look: Look): boolean {
  return entry.lease !== undefined && silentMs + look.intervalMs > patienceMs(entry.lease, look);
}

export function isAlive(seen: Sighting, look: Look): boolean {
  return !seen.doubtful && !isDead(seen, look);
}
