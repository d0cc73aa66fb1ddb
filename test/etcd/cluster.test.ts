/**
 * The whole product on three hosts with three etcd members: one is killed, one hangs, the quorum is lost for a minute, all is restored.
 * Meanwhile no packet between the stacks may be lost, and no route may change; afterwards no table may hold a wrong peer.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stopDaemon } from '../../src/embedded/daemons.ts';
import { volumeOf } from '../../src/embedded/folders.ts';
import { PROBE_PORT } from '../../src/embedded/paths.ts';
import { serviceNamespace, stackAddresses } from '../../src/embedded/topology.ts';
import type { DiscoveryFile } from '../../src/state/discovery-file.ts';
import { until } from '../conformance/lab.ts';
import { whenInterrupted } from '../support/interrupted.ts';
import { type Watched, watchRoutes } from '../support/watched.ts';
import { type EtcdCluster, installEtcd } from './server.ts';
import { buildWorld, etcdTopology, READY_MS, removeWorld, traffic } from './world.ts';

installEtcd();

const QUORUM_LOSS_MS = Number(process.env.ETCD_TEST_QUORUM_LOSS_MS ?? 60_000);
/** The lease is 10 s: the member hangs for longer, and the quorum is away for longer still. */
const HANG_MS = 15_000;
const UDP_PORT = 7081;
const STAYING = ['stack-a', 'stack-b', 'stack-c'] as const;
const LEAVING = 'stack-d';
const topology = etcdTopology(`qe${process.pid % 100_000}`, [...STAYING, LEAVING], '10s');
const stackNamed = (name: string) => topology.stacks.find((stack) => stack.name === name)!;

let cluster: EtcdCluster;
/** Apart from the rest, since they must outlive it: what is under way at the end still has to come back. */
const servers: Watched[] = [];
const watched: Watched[] = [];
const routeChanges: string[] = [];
interface Seen {
  readonly tcpSent: number;
  readonly tcpBack: number;
  readonly udpSent: number;
  readonly udpBack: number;
  readonly error: string;
  /** The first few datagrams that did not come back, and when they were sent. */
  readonly lost: readonly string[];
}
const results = new Map<string, Seen>();
const flowing = new Set<string>();

before(
  async () => {
    cluster = await buildWorld(topology);
  },
  { timeout: 240_000 },
);
async function remove(): Promise<void> {
  await Promise.all([...watched, ...servers].map((each) => each.stop()));
  await removeWorld(topology, cluster);
}
after(remove);
whenInterrupted(remove);

const fileOf = (stack: string) =>
  JSON.parse(readFileSync(join(volumeOf(topology.prefix, stack), 'discovery.json'), 'utf8')) as DiscoveryFile;
const peersOf = (stack: string) => fileOf(stack).peers.map(({ stack_id, status }) => `${stack_id} ${status}`);

/** Waits until every stack that stays has exactly these peers, itself aside. */
async function untilAll(names: readonly string[], status: string): Promise<void> {
  for (const viewer of STAYING) {
    const wanted = names.filter((name) => name !== viewer).map((name) => `${name} ${status}`);
    const same = () => JSON.stringify(peersOf(viewer)) === JSON.stringify(wanted);
    await until(same, READY_MS, `${viewer} has ${wanted}`, () => fileOf(viewer));
  }
}

function startTraffic(): void {
  for (const name of STAYING) {
    servers.push(traffic(serviceNamespace(topology, stackNamed(name)), ['serve', String(UDP_PORT)], () => undefined));
  }
  for (const from of STAYING) {
    watched.push(watchRoutes(topology, from, (line) => routeChanges.push(`${from}: ${line}`)));
    for (const to of STAYING.filter((name) => name !== from)) {
      const address = stackAddresses(stackNamed(to)).service;
      const onLine = (line: string) => {
        if (line === 'flows') flowing.add(`${from} > ${to}`);
        else results.set(`${from} > ${to}`, JSON.parse(line));
      };
      const namespace = serviceNamespace(topology, stackNamed(from));
      watched.push(traffic(namespace, [address, String(PROBE_PORT), String(UDP_PORT)], onLine));
    }
  }
}

test('no packet is lost and no route changes, whatever happens to the members', { timeout: 600_000 }, async () => {
  startTraffic();
  await until(
    () => flowing.size === 6,
    READY_MS,
    'traffic flows both ways between all',
    () => [...flowing],
  );
  const first = cluster.members[0]!;
  await first.kill();
  await sleep(5000);
  first.start();
  await cluster.healthy();
  const hung = (await cluster.leader()).member;
  hung.pause();
  await sleep(HANG_MS);
  hung.resume();
  await cluster.healthy();
  await untilAll([...STAYING, LEAVING], 'active');
  assert.deepEqual([...routeChanges], []);

  // The worst of what can be away: the leader and another, which hang and do not die. When they go on, all leases are over at once.
  const { member, others } = await cluster.leader();
  const lost = [member, others[0]!.member];
  for (const each of lost) each.pause();
  await untilAll([...STAYING, LEAVING], 'stale');
  // A stack that goes while nobody can be told, so that there is something to be right about afterwards.
  await stopDaemon(topology, stackNamed(LEAVING), 'discovery');
  await sleep(QUORUM_LOSS_MS);
  for (const viewer of STAYING) {
    const { state, since, message } = fileOf(viewer).sources!.etcd!;
    assert.equal(state, 'failing', message);
    assert.ok(Date.now() - Date.parse(since) >= QUORUM_LOSS_MS, `the state says since when: ${since}`);
  }
  assert.deepEqual([...routeChanges], []);
  for (const each of lost) each.resume();
  await cluster.healthy();
  await untilAll(STAYING, 'active');

  await Promise.all(watched.splice(0).map((each) => each.stop()));
  const leaving = stackNamed(LEAVING).subnet.split('/')[0]!;
  assert.deepEqual(
    routeChanges.filter((line) => !line.includes(`Deleted ${leaving}`)),
    [],
    'no other route changed',
  );
  assert.equal(results.size, 6);
  for (const [path, { tcpSent, tcpBack, udpSent, udpBack, error, lost }] of results) {
    console.log(`${path}: ${tcpBack} of ${tcpSent} TCP messages and ${udpBack} of ${udpSent} datagrams came back`);
    assert.equal(error, '', path);
    assert.ok(udpSent > 1000 && tcpSent > 1000, path);
    assert.equal(tcpBack, tcpSent, path);
    assert.equal(udpBack, udpSent, `${path}: packets were lost: ${lost.join(', ')}`);
  }
});
