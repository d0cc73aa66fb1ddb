/** The two clocks: one that never jumps for timeouts, one that people read. Tests move both by hand. */
import { performance } from 'node:perf_hooks';

export interface Clock {
  /** Milliseconds, never going back. */
  monotonic(): number;
  /** Milliseconds since 1970; may jump. */
  wall(): number;
}

export const systemClock: Clock = { monotonic: () => performance.now(), wall: () => Date.now() };

export function isoTime(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 19)}Z`;
}
