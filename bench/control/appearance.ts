/** A stack announces itself for the first time: how long until its route is in the kernel, beyond the datagram's own way. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from '../options.ts';
import { atMost, type Findings } from '../rows.ts';
import { median, percentile } from '../stats.ts';
import { RouteMonitor } from './monitor.ts';
import { freshFolder, makeHost } from './namespaces.ts';
import { peer } from './peers.ts';
import { healthy, startDiscovery, startRouter, until } from './processes.ts';
import { Sender } from './sender.ts';

export async function appearance({ quick }: Pick<Options, 'quick'>): Promise<Findings> {
  await makeHost();
  const folder = freshFolder();
  const router = startRouter(folder);
  const discovery = startDiscovery(folder);
  const sender = await Sender.start();
  await until(20, 'both daemons ready', () => healthy(router) && healthy(discovery), 20, router.log);
  await until(20, 'router.json', () => existsSync(join(folder, 'router.json')) || undefined);
  const monitor = new RouteMonitor();
  const samples: number[] = [];
  for (let n = 0; n < (quick ? 30 : 200); n += 1) {
    // Longer than all that one change sets off, so that each is measured by itself.
    await new Promise((resolve) => setTimeout(resolve, 120));
    const record = peer(n);
    const sent = await sender.send({ kind: 'record', record, intervalMs: 30_000 });
    samples.push((await monitor.seen(record.subnets[0]!)) - sent);
  }
  monitor.stop();
  sender.stop();
  await Promise.all([router.stop(), discovery.stop()]);
  // The very first one makes the sets of its prefix length, too.
  const counted = samples.slice(1);
  return {
    rows: [
      {
        id: 'appear.multicast',
        what: 'a stack announces itself -> its route is in the kernel, multicast, p99',
        goal: atMost(50),
        value: percentile(counted, 0.99),
        unit: 'ms',
        note: `p50 ${median(counted).toFixed(1)} ms over ${counted.length}; the datagram's own way included`,
        samples: { counted },
      },
    ],
    series: [],
  };
}
