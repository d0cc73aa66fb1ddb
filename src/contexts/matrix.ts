/** Every ordered pair of stacks: in which order they are measured, and what the result looks like. Pure. */
import type { Outcome } from '../embedded/paths.ts';
import { formatMs, formatRate } from '../text/units.ts';

export type Pair<T> = readonly [from: T, to: T];

/**
 * All ordered pairs in rounds. Within a round nobody occurs twice, so that its pairs can be measured at the same time without
 * sharing a line. (The circle method of tournaments; each round once in each direction.)
 */
export function rounds<T>(members: readonly T[]): Pair<T>[][] {
  const bye = members.length % 2 === 1;
  const seats: (T | undefined)[] = bye ? [...members, undefined] : [...members];
  const found: Pair<T>[][] = [];
  for (let turn = 0; turn < seats.length - 1; turn += 1) {
    const there: Pair<T>[] = [];
    for (let i = 0; i < seats.length / 2; i += 1) {
      const [a, b] = [seats[i], seats[seats.length - 1 - i]];
      if (a !== undefined && b !== undefined) there.push([a, b]);
    }
    found.push(
      there,
      there.map(([a, b]) => [b, a]),
    );
    // The first keeps its seat, the others move on by one.
    seats.splice(1, 0, seats.pop());
  }
  return found.filter((round) => round.length > 0);
}

export const pairKey = (from: string, to: string): string => `${from} → ${to}`;

export type Outcomes = ReadonlyMap<string, Outcome>;

function cell(from: string, to: string, outcomes: Outcomes): string {
  if (from === to) return '';
  const outcome = outcomes.get(pairKey(from, to));
  if (!outcome) return 'not tested';
  return outcome.ok ? `${formatMs(outcome.roundTripMs)}  ${formatRate(outcome.bitsPerSecond)}` : 'FAILED';
}

/** Rows of the matrix: from the stack on the left to the one above, latency and throughput. */
export function matrixRows(stacks: readonly string[], outcomes: Outcomes): string[] {
  const table = [
    ['FROM \\ TO', ...stacks],
    ...stacks.map((from) => [from, ...stacks.map((to) => cell(from, to, outcomes))]),
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table.map((row) => `  ${row.map((text, column) => text.padEnd(widths[column]!)).join('   ')}`.trimEnd());
}

export interface Count {
  readonly connected: number;
  readonly all: number;
}

export function countPaths(stacks: readonly string[], outcomes: Outcomes): Count {
  const connected = [...outcomes.values()].filter(({ ok }) => ok).length;
  return { connected, all: stacks.length * (stacks.length - 1) };
}
