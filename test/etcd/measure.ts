/**
 * Figures of docs/etcd.md: `npm run build && node --import tsx test/etcd/measure.ts`. Needs root; takes a minute.
 * How long after etcd's own word a changed peer is a route in the kernel, and what a thousand stacks cost a newcomer.
 */
import { type ChildProcess, execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BUNDLES, REPOSITORY } from '../../src/embedded/daemons.ts';
import { inside } from '../../src/embedded/namespaces.ts';
import { hostNamespace } from '../../src/embedded/topology.ts';
import { encode, recordKey } from '../../src/sources/etcd/keys.ts';
import { record } from '../support/records.ts';
import { DaemonProcess } from './daemon-process.ts';
import { EtcdCluster, installEtcd } from './server.ts';
import { buildWorld, etcdTopology, removeWorld, watchRoutes } from './world.ts';

const CHANGES = 200;
const EVERY_MS = 250;
const STACKS = 1000;
const RUNS = 5;
const PREFIX = '/docker-router/discovery';

const percentile = (sorted: readonly number[], p: number) =>
  sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * p) - 1)]!;
const ms = (value: number) => `${value.toFixed(1)} ms`;

function line(what: string, values: readonly number[]): void {
  const sorted = values.toSorted((a, b) => a - b);
  const [p50, p99, max] = [percentile(sorted, 0.5), percentile(sorted, 0.99), sorted.at(-1)!];
  console.log(`${what}: median ${ms(p50)}, p99 ${ms(p99)}, largest ${ms(max)} (${values.length} changes)`);
}

async function untilEnded(child: ChildProcess): Promise<void> {
  await new Promise((resolve) => child.once('close', resolve));
}

async function measureRoutes(): Promise<void> {
  const topology = etcdTopology(`qm${process.pid % 100_000}`, ['stack-a', 'stack-b', 'stack-c'], '30s');
  let cluster: EtcdCluster | undefined;
  try {
    cluster = await buildWorld(topology);
    const times = { put: new Map<number, bigint>(), told: new Map<number, bigint>(), route: new Map<number, bigint>() };
    const routes = watchRoutes(topology, 'stack-a', (text) => {
      const n = /^10\.200\.(\d+)\.0\/24/.exec(text)?.[1];
      if (n !== undefined) times.route.set(Number(n), process.hrtime.bigint());
    });
    const script = fileURLToPath(new URL('./latency.mjs', import.meta.url));
    const args = [script, cluster.urls[0]!, PREFIX, String(CHANGES), String(EVERY_MS)];
    const [program, ...rest] = inside(hostNamespace(topology, 'host-1'), [process.execPath, ...args]);
    const child = execFile(program!, rest);
    createInterface({ input: child.stdout! }).on('line', (text) => {
      const [what, n, at] = text.split(' ') as ['put' | 'told', string, string];
      times[what].set(Number(n), BigInt(at));
    });
    await untilEnded(child);
    await sleep(2000);
    await routes.stop();
    const between = (from: Map<number, bigint>, to: Map<number, bigint>) =>
      [...to].flatMap(([n, at]) => (from.has(n) ? [Number(at - from.get(n)!) / 1e6] : []));
    line("etcd's own latency, put to a bare watch", between(times.put, times.told));
    line('beyond it, until the route is in the kernel', between(times.told, times.route));
  } finally {
    await removeWorld(topology, cluster);
  }
}

/** Resident and private memory of a process in MiB. */
function memoryOf(pid: number): { rss: number; own: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1]) / 1024;
  return { rss: field('Rss'), own: field('Private_Dirty') };
}

/** A newcomer's time from the start of its process to a complete file, and its memory some seconds later. */
async function newcomer(url: string, prefix: string, peers: number) {
  const program = join(REPOSITORY, 'discovery', 'dist', BUNDLES.discovery);
  const env = { DISCOVERY_MODE: 'etcd', ETCD_ENDPOINTS: url, ETCD_PREFIX: prefix, HOST_IP: '10.0.0.1' };
  const daemon = new DaemonProcess('newcomer', env, [program]);
  const began = performance.now();
  daemon.start();
  await daemon.until('a complete table', () => daemon.health.startsWith('ok') && daemon.file?.peers.length === peers);
  const tookMs = performance.now() - began;
  await sleep(5000);
  const memory = memoryOf(daemon.pid);
  await daemon.stop();
  return { tookMs, ...memory };
}

/** The records of a thousand stacks, a hundred a transaction, since etcd takes at most 128 operations in one. */
async function register(url: string): Promise<void> {
  for (let n = 0; n < STACKS; n += 100) {
    const success = Array.from({ length: 100 }, (_, i) => {
      const each = record(n + i + 1);
      const key = encode(recordKey(PREFIX, each.stack_id));
      return { request_put: { key, value: encode(JSON.stringify(each)) } };
    });
    const { ok } = await fetch(`${url}/v3/kv/txn`, { method: 'POST', body: JSON.stringify({ success }) });
    if (!ok) throw new Error('etcd refuses the records');
  }
}

async function measureThousand(): Promise<void> {
  const cluster = await EtcdCluster.start(1);
  try {
    await register(cluster.urls[0]!);
    const median = (values: number[]) =>
      percentile(
        values.toSorted((a, b) => a - b),
        0.5,
      );
    for (const [what, prefix, peers] of [
      ['nobody', '/empty', 0],
      [`${STACKS} stacks`, PREFIX, STACKS],
    ] as const) {
      const runs: Awaited<ReturnType<typeof newcomer>>[] = [];
      for (let i = 0; i < RUNS; i += 1) runs.push(await newcomer(cluster.urls[0]!, prefix, peers));
      const of = (key: 'tookMs' | 'rss' | 'own') => median(runs.map((run) => run[key]));
      const memory = `RSS ${of('rss').toFixed(1)} MiB, of which private ${of('own').toFixed(1)} MiB`;
      console.log(
        `${what}: complete file ${ms(of('tookMs'))} after the start of the process; ${memory} (median of ${RUNS})`,
      );
    }
  } finally {
    await cluster.stop();
  }
}

installEtcd();
console.log(`load ${loadavg()[0]!.toFixed(1)} on ${availableParallelism()} processors`);
await measureThousand();
await measureRoutes();
