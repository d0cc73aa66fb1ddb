/** Stacks for the tests with a real Serf: sources in this process, or a process of their own where one has to be killed. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { GossipConfig } from '../../src/config/gossip-config.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { GossipSource } from '../../src/sources/gossip/gossip.ts';
import { Stack, until } from '../conformance/lab.ts';
import { HOST_IP } from '../conformance/network.ts';
import { record } from '../support/records.ts';
import { childrenNamed } from './serf.ts';

const SEEN_MS = 15_000;

/** A stack with the folder of its agent. */
export class GossipStack extends Stack {
  readonly folder: string;

  constructor(config: GossipConfig, folder: string, of: StackRecord) {
    super(new GossipSource(config, { folder, memory: `${folder}.json` }), of);
    this.folder = folder;
  }

  /** Process id of its agent. */
  get pid(): number {
    const own = childrenNamed(process.pid, 'serf').find((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${this.folder}/`),
    );
    assert.ok(own, `${this.record.stack_id} has no agent`);
    return own;
  }

  get lastState() {
    return this.events.findLast((event) => event.type === 'state');
  }

  dropped(kind: string): string[] {
    return this.events.flatMap((event) => (event.type === 'dropped' && event.kind === kind ? [event.message] : []));
  }

  /** Ids of the stacks that it sees. */
  get sees(): string[] {
    return this.everything().map(({ record: { stack_id } }) => stack_id);
  }
}

/** The stacks of one test file. Everything is gone after `close`. */
export class Stacks {
  readonly root = mkdtempSync('/run/docker-router-gossip-');
  readonly #stacks: GossipStack[] = [];

  config(changes: Partial<GossipConfig> = {}): GossipConfig {
    return { seeds: [{ host: HOST_IP, port: undefined }], port: 7946, keys: [], profile: 'lan', ...changes };
  }

  /** Stack number n, with the folder it had before where there was one. */
  create(n: number, config: Partial<GossipConfig> = {}, changes: Partial<StackRecord> = {}): GossipStack {
    const folder = join(this.root, `stack-${n}.serf`);
    const stack = new GossipStack(this.config(config), folder, record(n, { host_ip: HOST_IP, ...changes }));
    this.#stacks.push(stack);
    return stack;
  }

  run(n: number, config: Partial<GossipConfig> = {}, changes: Partial<StackRecord> = {}): GossipStack {
    return this.create(n, config, changes).publish().start() as GossipStack;
  }

  async close(): Promise<void> {
    await Promise.all(this.#stacks.splice(0).map((stack) => stack.source.stop()));
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Waits until each sees all the others in their latest records, and nobody else. */
export async function allSeeAll(stacks: readonly GossipStack[], withinMs = SEEN_MS): Promise<void> {
  const complete = () =>
    stacks.every((viewer) => {
      const others = stacks.filter((other) => other !== viewer);
      return viewer.sees.length === others.length && others.every((other) => viewer.has(other.record));
    });
  const seen = () => stacks.map((stack) => [stack.record.stack_id, stack.sees, stack.lastState]);
  await until(complete, withinMs, 'all see all', seen);
}

export { until };
