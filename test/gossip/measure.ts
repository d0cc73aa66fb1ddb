/**
 * How gossip does with many stacks on one machine: `GOSSIP_STACKS=200 GOSSIP_PROFILE=lan node --import tsx test/gossip/measure.ts`.
 * All are real agents with real records; a few of them run under the whole source, the others only show their members.
 * Needs root, Serf and about 25 MB for each stack; makes a network namespace of its own. Not part of any test run.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GossipProfile } from '../../src/config/gossip-config.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { inPrivateNetwork } from '../conformance/network.ts';
import { Crowd, tableText } from './crowd.ts';
import { childrenNamed } from './serf.ts';
import { Stacks } from './stacks.ts';

const COUNT = Number(process.env.GOSSIP_STACKS ?? 200);
const PROFILE = (process.env.GOSSIP_PROFILE ?? 'lan') as GossipProfile;
/** Under the whole source. */
const SOURCES = 4;
const START_EVERY_MS = Number(process.env.GOSSIP_START_EVERY_MS ?? 600);
const IDLE_MS = 20_000;
/** Longer than anything takes. */
const LONG_MS = 600_000;

const begin = performance.now();
const seconds = (ms: number) => (ms / 1000).toFixed(1);
const say = (text: string) => process.stdout.write(`${seconds(performance.now() - begin).padStart(7)} s  ${text}\n`);

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
const crowd = new Crowd({
  root: world.root,
  profile: PROFILE,
  startEveryMs: START_EVERY_MS,
  say: (text) => say(`  ${text}, ${spent().toFixed(0)} s of processor time so far`),
});

async function untilAll(expected: readonly StackRecord[], what: string): Promise<void> {
  const took = await crowd.untilAllHold(expected, LONG_MS);
  say(`all ${crowd.members.length} ${what}, complete and identical, ${seconds(took)} s later`);
}

try {
  say(`${COUNT} stacks, profile ${PROFILE}`);
  await crowd.grow(COUNT - SOURCES);
  const sources = Array.from({ length: SOURCES }, (_, i) => world.run(COUNT - i, crowd.config(COUNT - i)));
  say('the last one is started');
  const all = [...crowd.members, ...sources].map((one) => one.record);
  await untilAll(all, 'know all the others');
  const seen = sources.map((source) => tableText([source.record, ...source.everything().map((known) => known.record)]));
  say(`sources with the same table: ${seen.filter((one) => one === tableText(all)).length} of ${SOURCES}`);
  // Until the introductions are over.
  await sleep(20_000);
  await idle();

  const [changed] = sources as [(typeof sources)[0]];
  const old = changed.record;
  const now = changed.change({ vxlan_port: 6000 });
  const after = all.map((one) => (one === old ? now : one));
  await untilAll(after, 'know of a change');

  await sources[1]!.source.stop();
  const stayed = after.filter((one) => one !== sources[1]!.record);
  await untilAll(stayed, 'know that one stopped');

  const victim = crowd.members.pop()!;
  await victim.kill();
  await untilAll(
    stayed.filter((one) => one !== victim.record),
    'know that one was killed',
  );
} finally {
  await world.close();
  await crowd.close();
  world.remove();
}
