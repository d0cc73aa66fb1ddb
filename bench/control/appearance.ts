/** A stack announces itself for the first time: how long until its route is in the kernel, beyond the announcement's own way. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { StackRecord } from '../../src/record/record.ts';
import type { Options } from '../options.ts';
import { atMost, type Findings, type Row } from '../rows.ts';
import { median, percentile } from '../stats.ts';
import { ENDPOINT, Etcd } from './etcd.ts';
import { RouteMonitor } from './monitor.ts';
import { freshFolder, makeHost } from './namespaces.ts';
import { peer } from './peers.ts';
import { healthy, startDiscovery, startRouter, until } from './processes.ts';
import { Sender } from './sender.ts';

/** Longer than all that one change sets off, so that each is measured by itself. */
const GAP_MS = 80;

/** @param announce resolves with the moment from which it counts */
async function times(
  count: number,
  env: NodeJS.ProcessEnv,
  announce: (record: StackRecord) => Promise<number>,
): Promise<number[]> {
  const folder = freshFolder();
  const router = startRouter(folder);
  const discovery = startDiscovery(folder, env);
  await until(20, 'both daemons ready', () => healthy(router) && healthy(discovery), 20, router.log);
  await until(20, 'router.json', () => existsSync(join(folder, 'router.json')) || undefined);
  const monitor = new RouteMonitor();
  const samples: number[] = [];
  for (let n = 0; n <= count; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, GAP_MS));
    const record = peer(n);
    const from = await announce(record);
    samples.push((await monitor.seen(record.subnets[0]!)) - from);
  }
  monitor.stop();
  await Promise.all([router.stop(), discovery.stop()]);
  // The very first one makes the sets of its prefix length, too.
  return samples.slice(1);
}

function row(id: string, what: string, counted: readonly number[], note: string): Row {
  return {
    id,
    what: `a stack announces itself -> its route is in the kernel, ${what}, p99`,
    goal: atMost(50),
    value: percentile(counted, 0.99),
    unit: 'ms',
    note: `p50 ${median(counted).toFixed(1)} ms over ${counted.length}; ${note}`,
    samples: { counted },
  };
}

export async function appearance({ quick }: Pick<Options, 'quick'>): Promise<Findings> {
  await makeHost();
  const count = quick ? 100 : 200;
  const sender = await Sender.start();
  const multicast = await times(count, {}, (record) => sender.send({ kind: 'record', record, intervalMs: 30_000 }));
  sender.stop();
  const etcd = await Etcd.start();
  const byEtcd = { DISCOVERY_MODE: 'etcd', ETCD_ENDPOINTS: ENDPOINT };
  const told = await times(count, byEtcd, (record) => etcd.put(record));
  return {
    rows: [
      row('appear.multicast', 'multicast', multicast, "the datagram's own way included"),
      row('appear.etcd', 'etcd', told, 'from the moment at which a bare watch on the same etcd was told'),
    ],
    series: [],
  };
}
