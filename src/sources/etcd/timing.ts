/** The arithmetic of the etcd source's timers, apart from the timers. Times in milliseconds. */

/** How often the lease is renewed: etcd's own clients do so at a third of its time, so that two renewals may fail. */
export function renewInterval(ttlMs: number): number {
  return ttlMs / 3;
}

/**
 * How long an answer may take. With the renewal at a third of the lease, two members that hang one after the other are left behind and
 * a third is reached while the lease still lives. etcd itself gives up a proposal after 5 s and two election timeouts.
 */
export function answerTimeout(ttlMs: number): number {
  return Math.min(5000, Math.max(1000, ttlMs / 6));
}

/**
 * Wait before the next attempt after `failures` in a row, between half of an exponential and the whole. Never longer than a sixth of
 * the lease: after an outage the new leader gives every lease its full time once more, and within that each stack must be back.
 */
export function backoff(failures: number, ttlMs: number, random: number): number {
  const whole = Math.min(5000, ttlMs / 6, 100 * 2 ** Math.min(failures, 16));
  return whole * (0.5 + 0.5 * random);
}

/** A connection that worked for less than this does not reset the backoff. */
export const SETTLED_MS = 5000;
/** An event may be this much slower than the answer that shows it must be there; after it the watch counts as dead. */
export const WATCH_LAG_MS = 2000;
/** At stop: for what is under way, for the goodbye, and for taking the lease back. Together well under the 900 ms that the daemon has. */
export const STOP_PENDING_MS = 200;
export const STOP_GOODBYE_MS = 200;
export const STOP_REVOKE_MS = 300;

/**
 * How long a stack stays whose key went without a goodbye. A lease can end although its stack lives: a leader that hung and was replaced ends
 * leases when it goes on (etcd issue 15247). The owner sees that on its watch, and is back within a few round trips.
 */
export function doubt(ttlMs: number): number {
  return Math.min(5000, ttlMs / 3);
}
