/** Which fault comes when: a seed decides. Pure. */
import { FAULTS } from './faults.ts';
import { type Random, seeded, shuffled } from './random.ts';
import { type Fault, SLACK, type Stage } from './stage.ts';
import type { World } from './world.ts';

/** Several faults at the same moment come so often among the single ones. */
const MIXTURES = 6;
const MIXED = 'several-at-once';

type Place = Pick<World, 'source' | 'hasPrevious'>;

export function possible(place: Place, faults: readonly Fault[] = FAULTS): Fault[] {
  return faults.filter(
    ({ sources, needsPrevious }) => (sources?.includes(place.source) ?? true) && (place.hasPrevious || !needsPrevious),
  );
}

/** Two or three faults at the same moment, each with stacks of its own. */
export function mixture(random: Random, faults: readonly Fault[]): Fault {
  const parts = shuffled(
    random,
    faults.filter(({ mixes }) => mixes),
  ).slice(0, random() < 0.5 ? 2 : 3);
  const names = parts.map(({ name }) => name);
  return {
    name: MIXED,
    detail: names.join(' + '),
    promise: 'the longest of theirs',
    within: Math.max(...parts.map(({ within }) => within)) + SLACK,
    lossless: parts.every(({ lossless }) => lossless),
    local: parts.every(({ lossless, local }) => lossless || local),
    run: async (stage: Stage) => {
      const order = shuffled(stage.random, stage.victims);
      const share = Math.floor(order.length / parts.length);
      await Promise.all(
        parts.map((part, n) => part.run({ ...stage, victims: order.slice(n * share, (n + 1) * share) })),
      );
    },
  };
}

/** The faults that a seed gives, without end: every one once in a round, the rare ones in every third. */
export function* schedule(seed: number, place: Place, only: readonly string[] = []): Generator<Fault> {
  const random = seeded(seed);
  const all = possible(place);
  for (let round = 0; ; round += 1) {
    if (only.length > 0) yield* only.map((name) => all.find((fault) => fault.name === name) ?? mixture(random, all));
    else {
      const due = all.filter(({ rare }, n) => !rare || (n + round) % 3 === 0);
      const mixed = Array.from({ length: MIXTURES }, () => mixture(random, all));
      yield* shuffled(random, [...due, ...mixed]);
    }
  }
}

/** Whom fault number N of a seed hits: not for what came before it, so that it can be repeated alone. */
export const choices = (seed: number, number: number): Random => seeded(Math.imul(seed + 1, 0x9e3779b1) ^ number);

export const names = (): string[] => [...FAULTS.map(({ name }) => name), MIXED];
