/** Measurements for figures.test.ts and docs/etcd.md: how soon a change is a route, and what a thousand stacks cost a newcomer. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BUNDLES, REPOSITORY } from '../../src/embedded/daemons.ts';
import { inside } from '../../src/embedded/namespaces.ts';
import { hostNamespace } from '../../src/embedded/topology.ts';
import { encode, recordKey } from '../../src/sources/etcd/keys.ts';
import { until } from '../conformance/lab.ts';
import { record } from '../support/records.ts';
import { type Watched, watchLines, watchRoutes } from '../support/watched.ts';
import { DaemonProcess } from './daemon-process.ts';
import type { EtcdCluster } from './server.ts';
import { buildWorld, etcdTopology, removeWorld } from './world.ts';

const PREFIX = '/docker-router/discovery';
const LATENCY = fileURLToPath(new URL('./latency.mjs', import.meta.url));

export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * p) - 1)]!;
}

/** Of one change: milliseconds from the put to a bare watch on the same etcd, and to the route in another stack's kernel. */
export interface ChangeTimes {
  readonly told: number;
  readonly route: number;
}

/**
 * Puts `changes` changes of a stack's record into etcd, one every `everyMs`, in a world of three hosts, three members, and both daemons of three
 * stacks, and watches one stack's kernel.
 * @throws AssertionError when the last change does not become a route
 */
export async function measureChanges(changes: number, everyMs: number): Promise<ChangeTimes[]> {
  const topology = etcdTopology(`qm${process.pid % 100_000}`, ['stack-a', 'stack-b', 'stack-c'], '30s');
  let cluster: EtcdCluster | undefined;
  const watched: Watched[] = [];
  try {
    cluster = await buildWorld(topology);
    const at = { put: new Map<number, bigint>(), told: new Map<number, bigint>(), route: new Map<number, bigint>() };
    const onRoute = (line: string) => {
      const n = /^10\.200\.(\d+)\.0\/24/.exec(line)?.[1];
      if (n !== undefined) at.route.set(Number(n), process.hrtime.bigint());
    };
    watched.push(watchRoutes(topology, 'stack-a', onRoute));
    const args = [process.execPath, LATENCY, cluster.urls[0]!, PREFIX, String(changes), String(everyMs)];
    const onPut = (line: string) => {
      const [what, n, time] = line.split(' ') as ['put' | 'told', string, string];
      at[what].set(Number(n), BigInt(time));
    };
    watched.push(watchLines(inside(hostNamespace(topology, 'host-1'), args), onPut));
    const seen = () => ({ put: at.put.size, told: at.told.size, routes: at.route.size });
    const all = () => at.told.size === changes && at.route.has(changes - 1);
    await until(all, 2 * changes * everyMs + 30_000, `${changes} changes are told of and the last is a route`, seen);
    // A change that the next one overtook never was a route: it took for ever.
    const sincePut = (what: 'told' | 'route', n: number) =>
      at[what].has(n) ? Number(at[what].get(n)! - at.put.get(n)!) / 1e6 : Number.POSITIVE_INFINITY;
    return [...at.put.keys()].map((n) => ({ told: sincePut('told', n), route: sincePut('route', n) }));
  } finally {
    await Promise.all(watched.map((each) => each.stop()));
    await removeWorld(topology, cluster);
  }
}

export interface Newcomer {
  /** Milliseconds from the start of its process to a complete discovery.json and health. */
  readonly tookMs: number;
  /** Resident memory in MB (1,000,000 bytes), and what of it no other process shares. */
  readonly rss: number;
  readonly own: number;
}

function memoryOf(pid: number): Pick<Newcomer, 'rss' | 'own'> {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string) => (Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1]) * 1024) / 1e6;
  return { rss: field('Rss'), own: field('Private_Dirty') };
}

/** Starts the bundle as a newcomer that shall find `peers` stacks, and ends it `restMs` after it has. */
export async function measureNewcomer(
  cluster: EtcdCluster,
  prefix: string,
  peers: number,
  restMs: number,
): Promise<Newcomer> {
  const program = join(REPOSITORY, 'discovery', 'dist', BUNDLES.discovery);
  const etcd = { ETCD_ENDPOINTS: cluster.urls.join(','), ETCD_PREFIX: prefix };
  const daemon = new DaemonProcess('newcomer', { DISCOVERY_MODE: 'etcd', HOST_IP: '10.0.0.1', ...etcd }, [program]);
  const began = performance.now();
  daemon.start();
  await daemon.until('a complete table', () => daemon.health.startsWith('ok') && daemon.file?.peers.length === peers);
  const tookMs = performance.now() - began;
  await sleep(restMs);
  const memory = memoryOf(daemon.pid);
  await daemon.stop();
  return { tookMs, ...memory };
}

/** Puts the records of `count` stacks below PREFIX, a hundred a transaction, since etcd takes at most 128 operations in one. Returns the prefix. */
export async function register(cluster: EtcdCluster, count: number): Promise<string> {
  for (let n = 0; n < count; n += 100) {
    const success = Array.from({ length: Math.min(100, count - n) }, (_, i) => {
      const each = record(n + i + 1);
      const key = encode(recordKey(PREFIX, each.stack_id));
      return { request_put: { key, value: encode(JSON.stringify(each)) } };
    });
    const { ok } = await fetch(`${cluster.urls[0]}/v3/kv/txn`, { method: 'POST', body: JSON.stringify({ success }) });
    if (!ok) throw new Error('etcd refuses the records');
  }
  return PREFIX;
}
