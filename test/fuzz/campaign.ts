/** Runs the fuzzing: a number of cases, or for a while, of each target. Failures become files of the corpus, which every run repeats. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { localTargets } from './local-targets.ts';
import { inputs } from './mutate.ts';
import { namesTargets } from './names-targets.ts';
import { networkTargets } from './network-targets.ts';
import type { Target } from './target.ts';
import { trustTargets } from './trust-targets.ts';

export const TARGETS: readonly Target[] = [...networkTargets, ...namesTargets, ...trustTargets, ...localTargets];
const CORPUS = fileURLToPath(new URL('corpus', import.meta.url));
/** The process must not fill up while it fuzzes: so much more than at the start is a violation. */
const MOST_GROWTH_BYTES = 256 * 1024 * 1024;
/** fast-check keeps the cases of one property; a campaign is cut into rounds of this many. */
const ROUND = 20_000;

export interface Limits {
  readonly cases: number;
  readonly withinMs: number;
  readonly seed: number;
}

export interface Outcome {
  readonly name: string;
  readonly cases: number;
  /** Part of the cases that the parser accepted: none would mean that nothing but the first check was tried. */
  readonly accepted: number;
  readonly seconds: number;
  readonly slowestMs: number;
  /** The violation, and the file of the least input that shows it. */
  readonly violation?: { readonly words: string; readonly file: string };
}

/** Inputs that once failed, or that are worth repeating for another reason. */
export function corpusOf(name: string): { file: string; bytes: Buffer }[] {
  const folder = join(CORPUS, name);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((file) => ({ file: join(folder, file), bytes: readFileSync(join(folder, file)) }));
}

function keep(name: string, bytes: Buffer): string {
  const folder = join(CORPUS, name);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, createHash('sha256').update(bytes).digest('hex').slice(0, 12));
  writeFileSync(file, bytes);
  return file;
}

class Counted {
  cases = 0;
  accepted = 0;
  slowestMs = 0;

  try(target: Target, bytes: Buffer): void {
    const began = performance.now();
    const accepted = target.run(bytes);
    this.cases += 1;
    if (accepted) this.accepted += 1;
    this.slowestMs = Math.max(this.slowestMs, performance.now() - began);
  }
}

/** One target: the corpus, then damaged samples until either limit. Never throws for a violation. */
export function fuzz(target: Target, { cases, withinMs, seed }: Limits): Outcome {
  const counted = new Counted();
  const began = performance.now();
  const before = process.memoryUsage.rss();
  const corpus = corpusOf(target.name);
  const outcome = () => ({
    name: target.name,
    cases: counted.cases,
    accepted: counted.accepted,
    seconds: (performance.now() - began) / 1000,
    slowestMs: counted.slowestMs,
  });
  for (const { file, bytes } of corpus) {
    try {
      counted.try(target, bytes);
    } catch (cause) {
      return { ...outcome(), violation: { words: String(cause), file } };
    }
  }
  const samples = [...target.samples, ...corpus.map(({ bytes }) => bytes)];
  const property = fc.property(inputs(samples, target.notation), (bytes) => counted.try(target, bytes));
  for (let round = 0; counted.cases < cases && performance.now() - began < withinMs; round += 1) {
    const left = withinMs - (performance.now() - began);
    const details = fc.check(property, {
      seed: seed + round,
      numRuns: Math.min(ROUND, cases - counted.cases),
      ...(Number.isFinite(left) && { interruptAfterTimeLimit: left, markInterruptAsFailure: false }),
    });
    if (details.failed && details.counterexample) {
      const file = keep(target.name, details.counterexample[0]);
      const words = `seed ${seed + round}: ${details.errorInstance instanceof Error ? details.errorInstance.message : details.errorInstance}`;
      return { ...outcome(), violation: { words, file } };
    }
  }
  if (process.memoryUsage.rss() - before > MOST_GROWTH_BYTES)
    return {
      ...outcome(),
      violation: { words: `memory grew by ${process.memoryUsage.rss() - before} bytes`, file: '(none)' },
    };
  return outcome();
}
