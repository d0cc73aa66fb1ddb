/** Faults one after the other, in an order that a seed decides; after each the world is compared with the model. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SourceName } from '../../src/config/discovery-config.ts';
import { count, judge } from './lost.ts';
import type { Random } from './random.ts';
import { choices, names, schedule } from './schedule.ts';
import type { Fault, Stage } from './stage.ts';
import type { Observation, World } from './world.ts';

export class Violation extends Error {}

export interface Result {
  readonly number: number;
  readonly fault: string;
  /** Which faults it was made of, where it was several. */
  readonly detail?: string;
  /** What it took in all, with the looking. */
  readonly tookS: number;
  /** Seconds until everything was right again. */
  readonly healedS: number;
  /** Longest time that any pair was without an answer. */
  readonly gapMs: number;
  /** Probes that were never answered, of how many. */
  readonly lost: number;
  readonly sent: number;
  /** Packets that this machine's own full queues dropped, of whatever traffic: each may have been a probe. */
  readonly full: number;
  /** Why it says nothing of lost probes, such as a machine that was too busy to tell. */
  readonly unjudged?: string;
  readonly violation?: string;
}

const POLL_MS = 100;
/** Some sources are slower than multicast: a lease has to end, a zone to be read. Seconds more for what has to be found or missed. */
const SLOWER: Readonly<Record<SourceName, number>> = { multicast: 0, etcd: 6, dns: 6, gossip: 15 };
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

/** Starts the world and waits until all see each other. Returns seconds since the containers were started. @throws Violation after two minutes */
export async function begin(world: World): Promise<number> {
  await world.start();
  const began = performance.now();
  await settle(world, 'start', 120);
  for (;;) {
    const unseen = await world.unseen();
    const elapsed = (performance.now() - began) / 1000;
    if (unseen.length === 0) return elapsed;
    if (elapsed > 120) throw new Violation(`start: after 120 s: ${unseen.slice(0, 6).join('; ')}`);
    await sleep(POLL_MS);
  }
}

/** Packets that a processor of this machine did not get to in time: its backlog (net.core.netdev_max_backlog) was full. */
function backlogDrops(): number {
  const lines = readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
  return lines.reduce((sum, line) => sum + Number.parseInt(line.split(/\s+/)[1]!, 16), 0);
}

/** Injects one fault and waits for its end. Never throws for a violation: it is in the result. */
export async function inject(world: World, random: Random, fault: Fault, number = 0): Promise<Result> {
  const began = performance.now();
  const slower = SLOWER[world.source];
  let ownLoss = 0;
  const hit = new Set<string>();
  const stage: Stage = {
    world,
    random,
    victims: world.stacks,
    sleep: (ms) => sleep(ms),
    settled: (what, seconds) => settle(world, what, seconds + slower),
    ownLoss: (packets) => {
      ownLoss += packets;
    },
    hit: ({ name }) => void hit.add(name),
  };
  await world.mark();
  const marked = performance.now();
  const dropsBefore = backlogDrops();
  let healedS = Number.NaN;
  let violation: string | undefined;
  try {
    await fault.run(stage);
    // Looking at six kernels takes a whole processor: where what counts is the time without forwarding, not before that is over.
    const untilLook = fault.mostGapMs ?? 0;
    await sleep(untilLook);
    healedS = untilLook / 1000 + (await settle(world, fault.name, fault.within + slower - untilLook / 1000));
  } catch (cause) {
    violation = cause instanceof Violation ? cause.message : `the fault could not be made: ${(cause as Error).message}`;
  }
  const counts = fault.lossless || fault.local || fault.mostGapMs !== undefined;
  const { stats, missing } = await (counts ? world.settledCounters() : world.counters());
  const seen = count(stats, hit);
  const due = (performance.now() - marked) / world.probeMs;
  const full = ownLoss + backlogDrops() - dropsBefore + seen.overflow;
  if (seen.wrong.length > 0) violation ??= `traffic went to a wrong stack: ${seen.wrong.slice(0, 3).join('; ')}`;
  const verdict = judge(fault, seen, { full, due, missing });
  violation ??= verdict.violation;
  return {
    number,
    fault: fault.name,
    ...(fault.detail !== undefined && { detail: fault.detail }),
    tookS: (performance.now() - began) / 1000,
    healedS,
    gapMs: seen.gapMs,
    lost: seen.lost,
    sent: seen.sent,
    full,
    ...(verdict.unjudged !== undefined && { unjudged: verdict.unjudged }),
    ...(violation !== undefined && { violation }),
  };
}

export interface Campaign {
  readonly seed: number;
  /** Ends when this many milliseconds of the monotonic clock are over, or after so many faults. */
  readonly untilMs: number;
  readonly faults: number;
  /** Names of the only faults to inject, in that order, again and again; all in a random order when empty. */
  readonly only: readonly string[];
  /** Only the fault of this number. */
  readonly at?: number | undefined;
  readonly onResult: (result: Result) => void;
}

/** Runs until the time is over. A violation ends nothing, unless the world does not come back within a minute. */
export async function campaign(
  world: World,
  { seed, untilMs, faults, only, at, onResult }: Campaign,
): Promise<Result[]> {
  const results: Result[] = [];
  let number = 0;
  for (const fault of schedule(seed, world, only)) {
    number += 1;
    if (at !== undefined && number < at) continue;
    if (performance.now() > untilMs || number > faults) break;
    const result = await inject(world, choices(seed, number), fault, number);
    results.push(result);
    onResult(result);
    if (number === at) break;
    if (result.violation !== undefined) await settle(world, 'after a violation', 60);
  }
  return results;
}

export interface Summary {
  readonly fault: string;
  readonly times: number;
  readonly tookS: number;
  readonly medianS: number;
  readonly mostS: number;
  readonly mostGapMs: number;
  readonly mostLost: number;
  readonly violations: number;
  /** Times in which lost probes say nothing of the product. */
  readonly unjudged: number;
}

export function summaries(results: readonly Result[]): Summary[] {
  return names().flatMap((name) => {
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
        tookS: mine.reduce((sum, { tookS }) => sum + tookS, 0) / mine.length,
        medianS: healed[healed.length >> 1] ?? Number.NaN,
        mostS: healed.at(-1) ?? Number.NaN,
        mostGapMs: Math.max(...mine.map(({ gapMs }) => gapMs)),
        mostLost: Math.max(...mine.map(({ lost }) => lost)),
        violations: mine.filter(({ violation }) => violation !== undefined).length,
        unjudged: mine.filter(({ unjudged }) => unjudged !== undefined).length,
      },
    ];
  });
}
