/** What a fault is, and what it is given. */
import type { SourceName } from '../../src/config/discovery-config.ts';
import { TIMES, type WorldStack } from './compose-file.ts';
import { pick, type Random } from './random.ts';
import type { World } from './world.ts';

/** What a fault does besides: the campaign offers it. */
export interface Stage {
  readonly world: World;
  readonly random: Random;
  /** Whom a fault may hit: of several at once each has stacks of its own. */
  readonly victims: readonly WorldStack[];
  readonly sleep: (ms: number) => Promise<void>;
  /** Waits until everything is as the model says. @throws Violation after `seconds`. */
  readonly settled: (what: string, seconds: number) => Promise<number>;
  /** So many packets were lost by what makes the fault, which had to hand them on. */
  readonly ownLoss: (packets: number) => void;
  /** This stack is hit. */
  readonly hit: (stack: WorldStack) => void;
}

export interface Fault {
  readonly name: string;
  /** Which faults it is made of, where it is several. */
  readonly detail?: string;
  /** As docs/reliability.md words it. */
  readonly promise: string;
  /** Seconds from the fault's end (or the fault itself, where nothing ends it) until everything is right. */
  readonly within: number;
  /** Only a control process is away: not one probe may be lost. */
  readonly lossless?: boolean;
  /** Hits single stacks, chosen by `anyStack`: between two others not one probe may be lost. */
  readonly local?: boolean;
  /** Longest time that any pair may be without an answer, in milliseconds. */
  readonly mostGapMs?: number;
  /** With which sources of peers; all when absent. */
  readonly sources?: readonly SourceName[];
  /** Leaves the stacks and hosts in their places, so that it can come together with others. */
  readonly mixes?: boolean;
  /** Takes long: comes in every third round. */
  readonly rare?: boolean;
  /** Needs images of an earlier commit. */
  readonly needsPrevious?: boolean;
  readonly run: (stage: Stage) => Promise<void>;
}

/** Docker's part of a restart, and looking at the world: both take time on a busy machine. */
export const SLACK = 6;
/** Until a stack is found that can be heard again. */
export const FIND = TIMES.ANNOUNCE_INTERVAL + SLACK;

export function anyStack({ victims, random, hit }: Stage): WorldStack {
  const stack = pick(random, victims);
  hit(stack);
  return stack;
}
