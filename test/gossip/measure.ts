/**
 * How gossip does with many stacks on one machine: `GOSSIP_STACKS=200 GOSSIP_PROFILE=lan node --import tsx test/gossip/measure.ts`.
 * All are real agents with real records; a few of them run under the whole source, the others only show their members.
 * Needs root, Serf and about 25 MB for each stack; makes a network namespace of its own. Not part of any test run.
 */
import { setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GossipConfig, GossipProfile } from '../../src/config/gossip-config.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { Engine } from '../../src/sources/gossip/engine.ts';
import { readMembers } from '../../src/sources/gossip/members.ts';
import type { RpcConnection } from '../../src/sources/gossip/rpc.ts';
import { JoinSchema, MembersSchema } from '../../src/sources/gossip/rpc-codec.ts';
import { readTags, recordTags } from '../../src/sources/gossip/tags.ts';
import { HOST_IP, inPrivateNetwork } from '../conformance/network.ts';
import { record } from '../support/records.ts';
import { childrenNamed, gossipKey } from './serf.ts';
import { Stacks } from './stacks.ts';

const COUNT = Number(process.env.GOSSIP_STACKS ?? 200);
const PROFILE = (process.env.GOSSIP_PROFILE ?? 'lan') as GossipProfile;
/** Under the whole source. */
const SOURCES = 4;
/**
 * A newcomer is told to everybody by everybody: the hundredth takes two cores about a third of a second. Faster than that, agents
 * on one machine have no time left to answer each other and take each other for dead; on a machine each they have.
 */
const START_EVERY_MS = Number(process.env.GOSSIP_START_EVERY_MS ?? 600);
const PORT = 20_000;
const SEED = `${HOST_IP}:${PORT}`;
const INTRODUCE_MS = [1000, 4000];
const IDLE_MS = 20_000;
const RPC_MS = 60_000;

const begin = performance.now();
const seconds = (ms: number) => (ms / 1000).toFixed(1);
const say = (text: string) => process.stdout.write(`${seconds(performance.now() - begin).padStart(7)} s  ${text}\n`);

const stop = new AbortController();
setMaxListeners(0, stop.signal);
const key = gossipKey();
const config = (n: number): GossipConfig => ({
  seeds: [{ host: HOST_IP, port: PORT }],
  port: PORT + n - 1,
  keys: [key],
  profile: PROFILE,
});

/** Records as text in a stable order. */
const text = (records: readonly StackRecord[]) =>
  JSON.stringify([...records].sort((a, b) => (a.stack_id < b.stack_id ? -1 : 1)));

/** An agent with a record, and nothing of the source around it. */
class Member {
  readonly record: StackRecord;
  readonly #engine: Engine;
  readonly #rpc: RpcConnection;

  private constructor(of: StackRecord, engine: Engine, rpc: RpcConnection) {
    this.record = of;
    this.#engine = engine;
    this.#rpc = rpc;
  }

  static async start(n: number, root: string): Promise<Member> {
    const of = record(n, { host_ip: HOST_IP });
    const tags = recordTags(of);
    if (!tags.ok) throw new Error(tags.error);
    const folder = join(root, `member-${n}`);
    const nothing = () => undefined;
    const order = {
      config: config(n),
      record: of,
      tags: tags.value,
      folder,
      lastPort: undefined,
      onHint: nothing,
      onStranger: nothing,
    };
    const engine = await Engine.start(order, stop.signal);
    const rpc = await engine.connect();
    const member = new Member(of, engine, rpc);
    if (n > 1) await member.join(SEED);
    return member;
  }

  async join(endpoint: string): Promise<void> {
    await this.#rpc.ask('join', { Existing: [endpoint], Replay: false }, JoinSchema, RPC_MS);
  }

  /** As the source does a few times after it has found the others. */
  async introduce(n: number): Promise<void> {
    for (const pause of INTRODUCE_MS) {
      await sleep(pause, undefined, { signal: stop.signal });
      await this.join(`${HOST_IP}:${PORT + Math.floor(Math.random() * n)}`);
    }
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

/** Waits until every member's table holds `expected` and nothing else. */
async function untilAll(members: readonly Member[], expected: readonly StackRecord[], what: string): Promise<void> {
  const from = performance.now();
  const wanted = text(expected);
  for (let told = from; ; ) {
    let complete = 0;
    // One after the other: the agents need the processor for their gossip.
    for (const member of members) if (text(await member.table()) === wanted) complete += 1;
    if (complete === members.length) break;
    if (performance.now() - told > 5000) {
      told = performance.now();
      say(`  ${complete} of ${members.length} ${what}`);
    }
    await sleep(200);
  }
  say(`all ${members.length} ${what}, complete and identical, ${seconds(performance.now() - from)} s later`);
}

interface Usage {
  readonly kilobytes: number;
  readonly ticks: number;
}

function usage(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const kilobytes = Number(/^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1]);
  return { kilobytes, ticks: Number(stat[11]) + Number(stat[12]) };
}

/** Processor time of all agents so far, in seconds. */
const spent = () => childrenNamed(process.pid, 'serf').reduce((sum, pid) => sum + usage(pid).ticks, 0) / 100;

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;

function datagrams(): number {
  const lines = readFileSync('/proc/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Udp:'));
  const [names, values] = lines.map((line) => line.split(' ')) as [string[], string[]];
  return Number(values[names.indexOf('OutDatagrams')]);
}

async function idle(): Promise<void> {
  const agents = childrenNamed(process.pid, 'serf');
  const [before, sent, own] = [agents.map(usage), datagrams(), process.cpuUsage()];
  await sleep(IDLE_MS);
  const after = agents.map(usage);
  const load = after.map(({ ticks }, i) => ((ticks - before[i]!.ticks) * 1000) / IDLE_MS);
  const { user, system } = process.cpuUsage(own);
  say(
    `idle: an agent has ${(median(after.map(({ kilobytes }) => kilobytes)) / 1024).toFixed(1)} MB and takes ${median(load).toFixed(2)} % of a processor`,
  );
  say(`idle: a source takes ${((user + system) / 10 / IDLE_MS / SOURCES).toFixed(2)} % of a processor`);
  say(`idle: each sends ${(((datagrams() - sent) * 1000) / IDLE_MS / COUNT).toFixed(1)} datagrams a second`);
}

await inPrivateNetwork(import.meta.url);
const world = new Stacks();
const members: Member[] = [];
try {
  say(`${COUNT} stacks, profile ${PROFILE}`);
  for (let n = 1; n <= COUNT - SOURCES; n += 1) {
    const member = await Member.start(n, world.root);
    members.push(member);
    member.introduce(n).catch(() => undefined);
    await sleep(START_EVERY_MS);
    if (n % 20 === 0) say(`  ${n} agents, which took ${spent().toFixed(0)} s of processor time so far`);
  }
  const sources = Array.from({ length: SOURCES }, (_, i) => world.run(COUNT - i, config(COUNT - i)));
  say('the last one is started');
  const all = [...members.map((member) => member.record), ...sources.map((source) => source.record)];
  await untilAll(members, all, 'know all the others');
  const seen = sources.map((source) => text([source.record, ...source.everything().map((known) => known.record)]));
  say(`sources with the same table: ${seen.filter((one) => one === text(all)).length} of ${SOURCES}`);
  // Until the introductions are over.
  await sleep(20_000);
  await idle();

  const [changed] = sources as [(typeof sources)[0]];
  const old = changed.record;
  const now = changed.change({ vxlan_port: 6000 });
  const after = all.map((one) => (one === old ? now : one));
  await untilAll(members, after, 'know of a change');

  await sources[1]!.source.stop();
  const stayed = after.filter((one) => one !== sources[1]!.record);
  await untilAll(members, stayed, 'know that one stopped');

  const victim = members.pop()!;
  await victim.kill();
  await untilAll(
    members,
    stayed.filter((one) => one !== victim.record),
    'know that one was killed',
  );
} finally {
  stop.abort();
  await world.close();
  await Promise.all(members.map((member) => member.kill()));
  world.remove();
}
