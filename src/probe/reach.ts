/** What the last probes of one peer say: round trip and loss. Pure transitions over a small value. */

/** Probes that count: at one every 10 s the last five minutes. */
const WINDOW = 30;

export interface Reach {
  /** The newest first: round trip in milliseconds, or undefined for one that was not answered. */
  readonly results: readonly (number | undefined)[];
  /** Milliseconds since 1970 of the last answer; undefined when there never was one. */
  readonly answeredAt: number | undefined;
  /** How far the other's clock was ahead of ours at the last answer, in milliseconds. */
  readonly clockOffsetMs: number | undefined;
}

export type Answer = { readonly roundTripMs: number; readonly clockOffsetMs: number };

export const UNPROBED: Reach = { results: [], answeredAt: undefined, clockOffsetMs: undefined };

/**
 * The first answer ends what came before it: the other side's route may have been a moment later than ours, and that is no loss.
 * @param answer undefined when nothing came back
 */
export function withResult(reach: Reach, answer: Answer | undefined, wallMs: number): Reach {
  if (answer === undefined) return { ...reach, results: [undefined, ...reach.results].slice(0, WINDOW) };
  const before = reach.answeredAt === undefined ? [] : reach.results;
  return {
    results: [answer.roundTripMs, ...before].slice(0, WINDOW),
    answeredAt: wallMs,
    clockOffsetMs: answer.clockOffsetMs,
  };
}

export interface ReachSummary {
  /** Median round trip of those answered, in milliseconds. */
  readonly roundTripMs: number | undefined;
  /** 0 to 1. */
  readonly loss: number;
  readonly probes: number;
  /** Unanswered ones since the last answer. */
  readonly silent: number;
}

/** undefined before the first result. */
export function summary({ results }: Reach): ReachSummary | undefined {
  if (results.length === 0) return undefined;
  const answered = results.filter((ms) => ms !== undefined).sort((a, b) => a - b);
  const first = results.findIndex((ms) => ms !== undefined);
  return {
    roundTripMs: answered[Math.floor(answered.length / 2)],
    loss: 1 - answered.length / results.length,
    probes: results.length,
    silent: first === -1 ? results.length : first,
  };
}

/** How often each of so many peers is probed, in milliseconds: as wanted, and all together at most 50 a second. */
export function probeInterval(wantedMs: number, peers: number): number {
  return Math.max(wantedMs, peers * 20);
}
