/** What lost probes say of the product, and when they say nothing. Pure. */
import type { Fault } from './stage.ts';
import type { Stats } from './stats.ts';

/** What the services have counted since the fault began. */
export interface Count {
  /** Longest time that any pair was without an answer, in milliseconds. */
  readonly gapMs: number;
  readonly lost: number;
  readonly sent: number;
  /** Fewest probes of any pair. */
  readonly fewest: number;
  /** The same of the pairs that are not hit. */
  readonly others: { readonly lost: number; readonly fewest: number };
  /** Packets that found a full queue at a service's socket. */
  readonly overflow: number;
  /** Longest time in which a service did not get its turn, in milliseconds. */
  readonly stallMs: number;
  /** What came to a stack that it was not sent to, in words. */
  readonly wrong: readonly string[];
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);

/** @param hit names of stacks that the fault has hit */
export function count(stats: readonly Stats[], hit: ReadonlySet<string>): Count {
  const pairs = stats.flatMap((one) => one.pairs);
  const others = stats
    .filter(({ name }) => !hit.has(name))
    .flatMap((one) => one.pairs.filter(({ to }) => !hit.has(to)));
  return {
    gapMs: Math.max(0, ...pairs.map(({ gapMs }) => gapMs)),
    lost: sum(pairs.map(({ lost }) => lost)),
    sent: sum(pairs.map(({ sent }) => sent)),
    fewest: Math.min(...pairs.map(({ sent }) => sent)),
    others: { lost: sum(others.map(({ lost }) => lost)), fewest: Math.min(...others.map(({ sent }) => sent)) },
    overflow: sum(stats.map(({ overflow }) => overflow)),
    stallMs: Math.max(0, ...stats.map((one) => one.stallMs)),
    wrong: stats.flatMap((one) => one.wrong),
  };
}

/** A service that did not get its turn for so long makes its own probes, and those of the others to it, late enough to be called lost. */
const STALL_MS = 800;
/** Fewer probes than this part of those that were due are no measurement. */
const LEAST_PART = 0.5;

export interface Verdict {
  readonly violation?: string;
  /** Why nothing can be said: then no violation is found, and none is excluded. */
  readonly unjudged?: string;
}

/**
 * @param full packets that were dropped on the way by what is not the product: this machine's full queues, of whatever traffic, and the campaign itself
 * @param due probes that each pair should have sent meanwhile
 * @param missing services whose counters could not be read
 */
export function judge(
  { lossless, local, mostGapMs }: Pick<Fault, 'lossless' | 'local' | 'mostGapMs'>,
  { gapMs, sent, stallMs, ...all }: Count,
  { full, due, missing }: { readonly full: number; readonly due: number; readonly missing: readonly string[] },
): Verdict {
  if (!lossless && !local && mostGapMs === undefined) return {};
  if (missing.length > 0) return { violation: `no counters of ${missing.join(', ')}` };
  // Where single stacks are hit, theirs may be lost, and may be few: they may have started anew.
  const { lost, fewest } = local && !lossless ? all.others : all;
  if (fewest < due * LEAST_PART) return { unjudged: `a pair sent ${fewest} probes, ${Math.round(due)} were due` };
  const isGap = mostGapMs !== undefined && gapMs > mostGapMs;
  const isLoss = (lossless || local) && lost > 0;
  // A machine that is too busy makes losses, and hides none.
  if (!isGap && !isLoss) return {};
  if (stallMs > STALL_MS) return { unjudged: `a service did not get its turn for ${stallMs} ms` };
  if (isGap) return { violation: `${gapMs} ms without an answer, promised are ${mostGapMs}` };
  // A lost probe is at least one lost packet. Where fewer were dropped elsewhere, the rest is the product's; otherwise all may be either's.
  const words = `${lost} of ${sent} probes lost${lossless ? '' : ' between stacks that were not hit'}`;
  return lost > full
    ? { violation: `${words} where none may be; ${full} packets by full queues of this machine` }
    : { unjudged: `${words}, and ${full} packets by full queues of this machine` };
}
