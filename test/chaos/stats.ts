/** What the services count, and what their counters say. Pure. */

/** A path carries traffic when an answer came within this time. */
const ALIVE_MS = 700;
const TCP_ALIVE_MS = 3000;
/** Of probes.c: a probe without an answer counts as open after this, and as lost after that. */
export const OPEN_MS = 250;
export const LOST_MS = 2000;

interface Pair {
  readonly to: string;
  readonly sent: number;
  readonly lost: number;
  /** Neither answered nor lost, though old enough for an answer. */
  readonly open: number;
  readonly gapMs: number;
  readonly silentMs: number;
  readonly tcpSilentMs: number;
  readonly tcpResets: number;
}
export interface Stats {
  readonly name: string;
  /** Longest time in which the service did not get its turn, in milliseconds. */
  readonly stallMs: number;
  /** Packets that came to the service and found its socket's queue full. */
  readonly overflow: number;
  readonly wrong: readonly string[];
  readonly pairs: readonly Pair[];
}

/** Pairs without an answer, in words. @param to names of the stacks that must answer */
export function silences({ name, pairs }: Stats, to: ReadonlySet<string>): string[] {
  return pairs
    .filter((pair) => to.has(pair.to))
    .flatMap((pair) => [
      ...(pair.silentMs > ALIVE_MS ? [`${name}: no answer from ${pair.to} for ${pair.silentMs} ms`] : []),
      ...(pair.tcpSilentMs > TCP_ALIVE_MS ? [`${name}: no TCP from ${pair.to} for ${pair.tcpSilentMs} ms`] : []),
    ]);
}

/** Whether some probe may still be answered or lost. */
export const anyOpen = (stats: readonly Stats[]): boolean =>
  stats.some(({ pairs }) => pairs.some(({ open }) => open > 0));
