/** Many stacks in one network: real Serf agents with real records in their tags, and nothing of the source around them. */
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GossipConfig, GossipProfile } from '../../src/config/gossip-config.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { Engine } from '../../src/sources/gossip/engine.ts';
import { readMembers } from '../../src/sources/gossip/members.ts';
import type { RpcConnection } from '../../src/sources/gossip/rpc.ts';
import { JoinSchema, MembersSchema } from '../../src/sources/gossip/rpc-codec.ts';
import { readTags, recordTags } from '../../src/sources/gossip/tags.ts';
import { HOST_IP } from '../conformance/network.ts';
import { record } from '../support/records.ts';
import { gossipKey } from './serf.ts';

const PORT = 20_000;
const SEED = `${HOST_IP}:${PORT}`;
/** As the source does a few times after it has found the others. */
const INTRODUCE_MS = [1000, 4000];
const RPC_MS = 60_000;
const PROGRESS_MS = 5000;

/** Records as text in a stable order. */
export const tableText = (records: readonly StackRecord[]): string =>
  JSON.stringify([...records].sort((a, b) => (a.stack_id < b.stack_id ? -1 : 1)));

export class Member {
  readonly record: StackRecord;
  readonly #engine: Engine;
  readonly #rpc: RpcConnection;

  constructor(of: StackRecord, engine: Engine, rpc: RpcConnection) {
    this.record = of;
    this.#engine = engine;
    this.#rpc = rpc;
  }

  async join(endpoint: string): Promise<void> {
    await this.#rpc.ask('join', { Existing: [endpoint], Replay: false }, JoinSchema, RPC_MS);
  }

  /** All stacks that it knows, itself included. */
  async table(): Promise<StackRecord[]> {
    const { Members } = await this.#rpc.ask('members', undefined, MembersSchema, RPC_MS);
    const { stacks } = readMembers(Members ?? [], this.record, readTags);
    return [this.record, ...[...stacks.values()].map((stack) => stack.record)];
  }

  kill(): Promise<void> {
    return this.#engine.kill();
  }
}

export interface CrowdOptions {
  /** Folder for the agents' files, on a tmpfs. */
  readonly root: string;
  readonly profile: GossipProfile;
  /**
   * Milliseconds between two starts. A newcomer is told to everybody by everybody: the hundredth takes two cores about a third of a second.
   * Faster than that, agents on one machine have no time left to answer each other and take each other for dead; on a machine each they have.
   */
  readonly startEveryMs: number;
  readonly say: (text: string) => void;
}

export class Crowd {
  readonly members: Member[] = [];
  readonly #options: CrowdOptions;
  readonly #key = gossipKey();
  readonly #stop = new AbortController();

  constructor(options: CrowdOptions) {
    this.#options = options;
    setMaxListeners(0, this.#stop.signal);
  }

  /** Configuration of stack number n, from 1. */
  config(n: number): GossipConfig {
    const { profile } = this.#options;
    return { seeds: [{ host: HOST_IP, port: PORT }], port: PORT + n - 1, keys: [this.#key], profile };
  }

  /** Starts members until there are `count`. */
  async grow(count: number): Promise<void> {
    for (let n = this.members.length + 1; n <= count; n += 1) {
      this.members.push(await this.#start(n));
      void this.#introduce(n).catch(() => undefined);
      await sleep(this.#options.startEveryMs);
      if (n % 20 === 0) this.#options.say(`${n} agents`);
    }
  }

  async #start(n: number): Promise<Member> {
    const of = record(n, { host_ip: HOST_IP });
    const tags = recordTags(of);
    if (!tags.ok) throw new Error(tags.error);
    const folder = join(this.#options.root, `member-${n}`);
    const unheard = { onHint: () => undefined, onStranger: () => undefined };
    const order = { config: this.config(n), record: of, tags: tags.value, folder, lastPort: undefined, ...unheard };
    const engine = await Engine.start(order, this.#stop.signal);
    const member = new Member(of, engine, await engine.connect());
    if (n > 1) await member.join(SEED);
    return member;
  }

  async #introduce(n: number): Promise<void> {
    for (const pause of INTRODUCE_MS) {
      await sleep(pause, undefined, { signal: this.#stop.signal });
      await this.members[n - 1]?.join(`${HOST_IP}:${PORT + Math.floor(Math.random() * n)}`);
    }
  }

  /** Milliseconds until every member's table holds `expected` and nothing else. @throws when that takes longer than `withinMs`. */
  async untilAllHold(expected: readonly StackRecord[], withinMs: number): Promise<number> {
    const begin = performance.now();
    const wanted = tableText(expected);
    for (let told = begin; ; ) {
      let complete = 0;
      // One after the other: the agents need the processor for their gossip.
      for (const member of this.members) if (tableText(await member.table()) === wanted) complete += 1;
      const now = performance.now();
      if (complete === this.members.length) return Math.round(now - begin);
      const progress = `${complete} of ${this.members.length} tables are complete`;
      if (now - begin > withinMs) throw new Error(`${progress} after ${withinMs} ms`);
      if (now - told > PROGRESS_MS) this.#options.say(progress);
      if (now - told > PROGRESS_MS) told = now;
      await sleep(200);
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.members.map((member) => member.kill()));
  }
}
