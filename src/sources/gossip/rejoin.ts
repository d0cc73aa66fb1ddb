/** Whom to look for: seeds and lost members, so that a gossip that fell apart finds itself again. Pure. Times in milliseconds. */
import type { Endpoint, Stack, StackKey } from './members.ts';

/** Ports after GOSSIP_PORT on which a seed without a port is looked for. */
export const SEED_PORTS = 8;
/** At most this many are looked for at a time. */
export const TARGETS_A_ROUND = 16;
/** Lost members are looked for as long as this. */
export const REMEMBER_MS = 24 * 3_600_000;
export const MAX_REMEMBERED = 1024;
/** All the members together look for one that is lost about this often in a round: a dead host must not be besieged by hundreds. */
const SEEKERS = 4;
/** First pauses between rounds, then the last one for ever. A cut that heals must be noticed within a few seconds. */
const PAUSES = [200, 300, 500, 1000, 2000, 3000] as const;
/** The same for a look at the further ports of seeds, where mostly nobody is. */
const SWEEPS = [300, 700, 1500, 3000, 10_000] as const;

/** A seed whose name was resolved. */
export interface ResolvedSeed {
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
}

/** Where a stack was last alive. */
export interface Place {
  readonly endpoint: Endpoint;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export type Memory = ReadonlyMap<StackKey, Place>;

export interface SeedSearch {
  /** Where a seed may be that nobody is met at. */
  readonly missing: readonly Endpoint[];
  /** Further ports of seeds somebody is met at: another stack there may belong to a gossip of its own that was never joined. */
  readonly further: readonly Endpoint[];
}

/** Without this stack's own endpoint. */
export function searchSeeds(seeds: readonly ResolvedSeed[], alive: ReadonlySet<Endpoint>, own: Endpoint): SeedSearch {
  const missing: Endpoint[] = [];
  const further: Endpoint[] = [];
  for (const { addresses, ports } of seeds) {
    for (const address of addresses) {
      const candidates = ports.map((port) => `${address}:${port}`).filter((endpoint) => endpoint !== own);
      const absent = candidates.filter((endpoint) => !alive.has(endpoint));
      if (absent.length === candidates.length) missing.push(...absent);
      else further.push(...absent);
    }
  }
  return { missing, further };
}

/** Places where somebody was and nobody is now. */
export function lostPlaces(memory: Memory, alive: ReadonlySet<Endpoint>, own: Endpoint): Endpoint[] {
  const places = [...memory.values()].map(({ endpoint }) => endpoint);
  return [...new Set(places)].filter((endpoint) => endpoint !== own && !alive.has(endpoint));
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

export interface Search {
  readonly seeds: readonly Endpoint[];
  readonly lost: readonly Endpoint[];
  /** Members that are alive, this one included. */
  readonly aliveCount: number;
  /** Not to be tried in this round. */
  readonly resting: ReadonlySet<Endpoint>;
}

/** The endpoints for one round, in the order in which they are tried. `random` gives numbers from 0 to 1. */
export function pickTargets({ seeds, lost, aliveCount, resting }: Search, random: () => number): Endpoint[] {
  const chance = Math.min(1, SEEKERS / Math.max(1, aliveCount));
  const wanted = [...shuffled(seeds, random), ...shuffled(lost, random)].filter((endpoint) => !resting.has(endpoint));
  return [...new Set(wanted)].filter(() => random() <= chance).slice(0, TARGETS_A_ROUND);
}

/** Pause after round `n` (from 0) in which somebody was still missing. */
export function pauseAfter(round: number): number {
  return PAUSES[Math.min(round, PAUSES.length - 1)]!;
}

/** Time until the further ports of seeds are looked at again, after `n` times (from 0). */
export function sweepAfter(n: number): number {
  return SWEEPS[Math.min(n, SWEEPS.length - 1)]!;
}

/** How long an endpoint that answered but refused (another key, another program) is left alone, after `refusals` in a row; not so long by a stack that has nobody else. */
export function restAfter(refusals: number, alone: boolean): number {
  return Math.min(alone ? 10_000 : 300_000, 1000 * 2 ** Math.min(refusals, 10));
}

/** What is remembered after a look: where each stack is and where the lost ones were, but not those who said goodbye. */
export function remember(
  memory: Memory,
  stacks: ReadonlyMap<StackKey, Stack>,
  left: ReadonlySet<StackKey>,
  wallMs: number,
): Map<StackKey, Place> {
  const there = [...stacks].map(([key, { endpoint }]): [StackKey, Place] => [key, { endpoint, at: wallMs }]);
  const lost = [...memory].filter(
    ([key, { at }]) => !stacks.has(key) && !left.has(key) && Math.abs(wallMs - at) < REMEMBER_MS,
  );
  // The newest of the lost first, and never so many that those who are there find no room.
  lost.sort(([, a], [, b]) => b.at - a.at);
  return new Map([...lost.slice(0, MAX_REMEMBERED / 2), ...there].slice(0, MAX_REMEMBERED));
}
