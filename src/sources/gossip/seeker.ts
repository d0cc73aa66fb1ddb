/** Joins seeds and lost members, again and again, for as long as somebody is missing. */
import type { GossipConfig } from '../../config/gossip-config.ts';
import { Introductions } from './introductions.ts';
import type { Endpoint, View } from './members.ts';
import { joinTrouble } from './output.ts';
import { Pause } from './pause.ts';
import { knock } from './ports.ts';
import { lostPlaces, type Memory, pauseAfter, pickTargets, restAfter, searchSeeds, sweepAfter } from './rejoin.ts';
import { type RpcConnection, RpcRefusal } from './rpc.ts';
import { JoinSchema } from './rpc-codec.ts';
import { SeedResolver } from './seed-resolver.ts';

const KNOCK_MS = 1500;
/** memberlist waits up to 30 s (wan) for the other side. */
const JOIN_MS = 60_000;
/** While nobody is missing. */
const IDLE_MS = 500;
/** A member that was joined under another address than it tells (NAT) counts as missing for ever: not so often, then. */
const JOINED_REST_MS = 10_000;
/** Refusals count as in a row within this time. */
const FORGET_MS = 600_000;

interface Resting {
  readonly until: number;
  readonly refusals: number;
}

export interface SeekerHooks {
  /** Somebody was joined or refused: look at the members. */
  tried(): void;
  /** The connection is of no more use. */
  failed(cause: Error): void;
}

export class Seeker {
  readonly #own: Endpoint;
  readonly #rpc: RpcConnection;
  readonly #hooks: SeekerHooks;
  readonly #resolver: SeedResolver;
  readonly #introductions = new Introductions();
  readonly #pause = new Pause();
  readonly #stop = new AbortController();
  readonly #resting = new Map<Endpoint, Resting>();
  /** undefined until the members were looked at. */
  #alive: ReadonlySet<Endpoint> | undefined;
  #memory: Memory = new Map();
  #round = 0;
  #sweeps = 0;
  #sweepAt = 0;
  #searched = false;
  /** What is wrong with those that answered and refused. */
  readonly refused = new Map<Endpoint, string>();

  constructor(config: GossipConfig, own: Endpoint, rpc: RpcConnection, hooks: SeekerHooks) {
    this.#own = own;
    this.#rpc = rpc;
    this.#hooks = hooks;
    this.#resolver = new SeedResolver(config);
  }

  /** Whether everybody was looked for at least once. */
  get searched(): boolean {
    return this.#searched;
  }

  /** Whether no other member is alive. */
  get alone(): boolean {
    return (this.#alive?.size ?? 0) <= 1;
  }

  /** After every look at the members. */
  see(view: View, memory: Memory): void {
    const lost = [...(this.#alive ?? [])].some((endpoint) => !view.alive.has(endpoint));
    const first = this.#alive === undefined;
    this.#alive = view.alive;
    this.#memory = memory;
    if (this.alone) this.#introductions.begin();
    if (!lost && !first) return;
    // Somebody was lost just now: most likely it comes back soon.
    this.#round = 0;
    this.#pause.wake();
  }

  /** This stack has news for the others. */
  introduce(): void {
    this.#introductions.begin();
    this.#pause.wake();
  }

  /** Until `close`. */
  async run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const missing = this.#alive !== undefined && (await this.#search(this.#alive));
      await this.#pause.wait(missing ? pauseAfter(this.#round) : IDLE_MS);
      this.#round = missing ? this.#round + 1 : 0;
    }
  }

  close(): void {
    this.#stop.abort();
    this.#pause.close();
  }

  /** One round. Returns whether anybody was missing. */
  async #search(alive: ReadonlySet<Endpoint>): Promise<boolean> {
    const { missing, further } = searchSeeds(await this.#resolver.seeds(), alive, this.#own);
    const lost = lostPlaces(this.#memory, alive, this.#own);
    const seeds = this.#sweepIsDue() ? [...missing, ...further] : missing;
    const targets = pickTargets({ seeds, lost, aliveCount: alive.size, resting: this.#atRest() }, Math.random);
    const others = [...alive].filter((endpoint) => endpoint !== this.#own);
    const introduction = this.#introductions.next(others, performance.now(), Math.random());
    if (introduction !== undefined) targets.push(introduction);
    const { signal } = this.#stop;
    // Serf tries one after the other and waits long for each: only those that listen are worth its time.
    const listening = await Promise.all(targets.map((endpoint) => knock(endpoint, KNOCK_MS, signal)));
    for (const endpoint of targets.filter((_, index) => listening[index])) {
      if (signal.aborted || (await this.#join(endpoint))) break;
    }
    this.#searched = true;
    return missing.length + lost.length > 0;
  }

  #sweepIsDue(): boolean {
    const now = performance.now();
    if (now < this.#sweepAt) return false;
    this.#sweepAt = now + sweepAfter(this.#sweeps);
    this.#sweeps += 1;
    return true;
  }

  #atRest(): Set<Endpoint> {
    const now = performance.now();
    for (const [endpoint, { until }] of this.#resting) if (now > until + FORGET_MS) this.#resting.delete(endpoint);
    return new Set([...this.#resting].filter(([, { until }]) => until > now).map(([endpoint]) => endpoint));
  }

  /** Returns whether the round is over: somebody was joined, or nothing more can be done. */
  async #join(endpoint: Endpoint): Promise<boolean> {
    try {
      await this.#rpc.ask('join', { Existing: [endpoint], Replay: false }, JoinSchema, JOIN_MS);
      this.#joined(endpoint);
      return true;
    } catch (cause) {
      if (this.#stop.signal.aborted) return true;
      if (cause instanceof RpcRefusal) this.#wasRefused(endpoint, cause.message);
      else this.#hooks.failed(cause as Error);
      return !(cause instanceof RpcRefusal);
    }
  }

  #joined(endpoint: Endpoint): void {
    const now = performance.now();
    this.#resting.set(endpoint, { until: this.alone ? now : now + JOINED_REST_MS, refusals: 0 });
    this.#introductions.met(endpoint, now);
    this.refused.clear();
    this.#hooks.tried();
  }

  #wasRefused(endpoint: Endpoint, reason: string): void {
    const refusals = (this.#resting.get(endpoint)?.refusals ?? 0) + 1;
    this.#resting.set(endpoint, { until: performance.now() + restAfter(refusals, this.alone), refusals });
    this.refused.set(endpoint, joinTrouble(endpoint, reason));
    this.#hooks.tried();
  }
}
