/** What a fault is, and what it is given. */
import { pick, type Random } from './random.ts';
import { TIMES, type World, type WorldStack } from './world.ts';

/** What a fault does besides: the campaign offers it. */
export interface Stage {
  readonly world: World;
  readonly random: Random;
  readonly sleep: (ms: number) => Promise<void>;
  /** Waits until everything is as the model says. @throws Violation after `seconds`. */
  readonly settled: (what: string, seconds: number) => Promise<number>;
}

export interface Fault {
  readonly name: string;
  /** As docs/reliability.md words it. */
  readonly promise: string;
  /** Seconds from the fault's end (or the fault itself, where nothing ends it) until everything is right. */
  readonly within: number;
  /** Only a control process is away: not one probe may be lost. */
  readonly lossless?: boolean;
  /** Longest time that any pair may be without an answer, in milliseconds. */
  readonly mostGapMs?: number;
  /** Its host loses all containers' addresses: the probes are aimed anew. */
  readonly run: (stage: Stage) => Promise<void>;
}

/** Docker's part of a restart, and looking at the world: both take time on a busy machine. */
export const SLACK = 6;
/** Until a stack is found that can be heard again. */
export const FIND = TIMES.ANNOUNCE_INTERVAL + SLACK;

export const anyStack = ({ world, random }: Stage): WorldStack => pick(random, world.stacks);
