/** The arithmetic of the multicast protocol's timers, apart from the timers. Times in milliseconds. */
import type { Lifetime } from '../../peers/table.ts';

/** The whole group together sends at most this many periodic announcements a second; with more stacks each sends less often. */
export const GROUP_RATE_PER_SECOND = 50;
/** A change is sent again after these delays, since the first datagram may be lost. RFC 6762 section 8.3 does likewise. */
export const REPEAT_AFTER_MS = [250, 1000] as const;
/** A newcomer asks again, for the same reason. */
export const QUERY_AFTER_MS = [0, 300, 1500] as const;
/** Queries are answered at most this often: an announcement reaches every asker, so one serves them all. */
export const ANSWER_GAP_MS = 400;

/** Interval between periodic announcements of one stack when `stacks` share the group. */
export function announceInterval(configuredMs: number, stacks: number): number {
  return Math.max(configuredMs, Math.ceil((stacks * 1000) / GROUP_RATE_PER_SECOND));
}

/** +-10 %, so that stacks started together do not speak together for ever. */
export function jittered(intervalMs: number, random: number): number {
  return Math.round(intervalMs * (0.9 + 0.2 * random));
}

/** Wait before an answer: spread over 20 ms for a few stacks, over up to 4 s for thousands (0.4 ms each). */
export function answerDelay(stacks: number, random: number): number {
  return Math.min(4000, 20 + stacks * 0.4) * random;
}

/** In which a third announcement comes after two that were lost, each up to a tenth late. */
const THIRD_COMES_WITHIN = 3.5;

/**
 * Stale after one interval missed and a half; given up after PEER_TIMEOUT where three intervals fit in it. A sender that is slower than that,
 * since many share the group, has until its third announcement must have come.
 */
export function lifetime(senderIntervalMs: number, peerTimeoutMs: number): Lifetime {
  const intervalMs = Math.min(senderIntervalMs, 3_600_000);
  const expireAfterMs = 3 * intervalMs <= peerTimeoutMs ? peerTimeoutMs : THIRD_COMES_WITHIN * intervalMs;
  return { staleAfterMs: Math.min(1.5 * senderIntervalMs, expireAfterMs), expireAfterMs };
}
