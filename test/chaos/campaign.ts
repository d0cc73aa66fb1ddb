/** Faults one after the other, in an order that a seed decides; after each the world is compared with the model. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FAULTS } from './faults.ts';
import { type Random, seeded, shuffled } from './random.ts';
import type { Fault, Stage } from './stage.ts';
import type { Observation, World } from './world.ts';

export class Violation extends Error {}

export interface Result {
  readonly fault: string;
  /** Seconds until everything was right again. */
  readonly healedS: number;
  /** Longest time that any pair was without an answer. */
  readonly gapMs: number;
  /** Probes that were never answered, of how many. */
  readonly lost: number;
  readonly sent: number;
  readonly violation?: string;
}

const POLL_MS = 250;
/** Unanswered probes are counted after two seconds. */
const COUNT_MS = 2200;
/** Right once may be luck in the middle of a change. */
const STEADY_LOOKS = 2;

/** Seconds until the world was right; polls. @throws Violation with what is wrong, after `seconds`. */
export async function settle(world: World, what: string, seconds: number): Promise<number> {
  const began = performance.now();
  let right = 0;
  let seen: Observation | undefined;
  let since = 0;
  for (;;) {
    seen = await world.observe();
    const elapsed = (performance.now() - began) / 1000;
    if (seen.wrong.length === 0) {
      if (right === 0) since = elapsed;
      right += 1;
      if (right >= STEADY_LOOKS) return since;
    } else right = 0;
    if (elapsed > seconds && right === 0)
      throw new Violation(`${what}: after ${seconds} s: ${seen.wrong.slice(0, 6).join('; ')}`);
    await sleep(POLL_MS);
  }
}

function count({ stats }: Observation): Pick<Result, 'gapMs' | 'lost' | 'sent'> & { wrong: string[] } {
  const pairs = stats.flatMap((one) => one.pairs);
  return {
    gapMs: Math.max(0, ...pairs.map(({ gapMs }) => gapMs)),
    lost: pairs.reduce((sum, { lost }) => sum + lost, 0),
    sent: pairs.reduce((sum, { sent }) => sum + sent, 0),
    wrong: stats.flatMap((one) => one.wrong),
  };
}

/** Injects one fault and waits for its end. Never throws for a violation: it is in the result. */
export async function inject(world: World, random: Random, fault: Fault): Promise<Result> {
  const stage: Stage = {
    world,
    random,
    sleep: (ms) => sleep(ms),
    settled: (what, seconds) => settle(world, what, seconds),
  };
  await world.mark();
  let healedS = Number.NaN;
  let violation: string | undefined;
  try {
    await fault.run(stage);
    healedS = await settle(world, fault.name, fault.within);
  } catch (cause) {
    violation = cause instanceof Violation ? cause.message : `the fault could not be made: ${(cause as Error).message}`;
  }
  await sleep(COUNT_MS);
  const { gapMs, lost, sent, wrong } = count(await world.observe());
  if (wrong.length > 0) violation ??= `traffic went to a wrong stack: ${wrong.slice(0, 3).join('; ')}`;
  if (fault.lossless && lost > 0) violation ??= `${lost} of ${sent} probes lost while only a control process was away`;
  if (fault.mostGapMs !== undefined && gapMs > fault.mostGapMs)
    violation ??= `${gapMs} ms without an answer, promised are ${fault.mostGapMs}`;
  return { fault: fault.name, healedS, gapMs, lost, sent, ...(violation !== undefined && { violation }) };
}

export interface Campaign {
  readonly seed: number;
  readonly untilMs: number;
  /** Names of the only faults to inject, in that order, again and again; all in a random order when empty. */
  readonly only: readonly string[];
  readonly onResult: (result: Result, number: number) => void;
}

/** The faults that a seed gives, without end: every one once before any comes a second time. */
export function* schedule(seed: number, only: readonly string[]): Generator<Fault> {
  const random = seeded(seed);
  const chosen = only.map((name) => FAULTS.find((fault) => fault.name === name)!);
  for (;;) yield* only.length > 0 ? chosen : shuffled(random, FAULTS);
}

/** Runs until the time is over. A violation ends nothing, unless the world does not come back within a minute. */
export async function campaign(world: World, { seed, untilMs, only, onResult }: Campaign): Promise<Result[]> {
  const random = seeded(seed ^ 0x5bd1e995);
  const results: Result[] = [];
  for (const fault of schedule(seed, only)) {
    if (performance.now() > untilMs) break;
    const result = await inject(world, random, fault);
    results.push(result);
    onResult(result, results.length);
    if (result.violation !== undefined) await settle(world, 'after a violation', 60);
  }
  return results;
}

export interface Summary {
  readonly fault: string;
  readonly times: number;
  readonly medianS: number;
  readonly mostS: number;
  readonly mostGapMs: number;
  readonly mostLost: number;
  readonly violations: number;
}

export function summaries(results: readonly Result[]): Summary[] {
  return FAULTS.flatMap(({ name }) => {
    const mine = results.filter(({ fault }) => fault === name);
    if (mine.length === 0) return [];
    const healed = mine
      .map(({ healedS }) => healedS)
      .filter((value) => !Number.isNaN(value))
      .sort((a, b) => a - b);
    return [
      {
        fault: name,
        times: mine.length,
        medianS: healed[healed.length >> 1] ?? Number.NaN,
        mostS: healed.at(-1) ?? Number.NaN,
        mostGapMs: Math.max(...mine.map(({ gapMs }) => gapMs)),
        mostLost: Math.max(...mine.map(({ lost }) => lost)),
        violations: mine.filter(({ violation }) => violation !== undefined).length,
      },
    ];
  });
}
