/** Ten thousand peers, end to end: heard, written, read, in the kernel. */
import { join } from 'node:path';
import type { Options } from '../options.ts';
import { atMost, type Findings } from '../rows.ts';
import { RouteMonitor } from './monitor.ts';
import { freshFolder, makeHost } from './namespaces.ts';
import { peer } from './peers.ts';
import { type Daemon, privateMiB, startDiscovery, startRouter, textOf, until } from './processes.ts';
import { Sender } from './sender.ts';

const COUNT = 10_000;
const known = (folder: string) => textOf(join(folder, 'discovery.json')).match(/"last_seen"/g)?.length ?? 0;

/** Datagrams get lost at this rate, as in a real crowd; the stacks announce again. */
async function gather(folder: string, sender: Sender, discovery: Daemon): Promise<void> {
  for (let time = 0; time < 20 && known(folder) <= COUNT; time += 1) {
    if (discovery.child.exitCode !== null) throw new Error(`discovery ended: ${discovery.log().slice(-500)}`);
    // Long intervals, so that nobody is stale before the end.
    await sender.send({ kind: 'once', first: 0, count: COUNT, perSecond: 2000, intervalMs: 3_600_000 });
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
  if (known(folder) <= COUNT)
    throw new Error(`${known(folder)} of ${COUNT} stacks known after 20 announcements of each`);
}

const LAST = peer(COUNT);

export async function crowd(_options: Pick<Options, 'quick'>): Promise<Findings> {
  await makeHost();
  const folder = freshFolder();
  const discovery = startDiscovery(folder);
  const sender = await Sender.start();
  await gather(folder, sender, discovery);
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const discoveryMemory = privateMiB(discovery.child.pid!);
  const sent = await sender.send({ kind: 'record', record: LAST, intervalMs: 3_600_000 });
  await until(20, 'one more written', () => (known(folder) > COUNT + 1 ? true : undefined), 5);
  const writtenMs = performance.now() - sent;
  const began = performance.now();
  const router = startRouter(folder);
  await until(60, 'all in the kernel', () => /brought up to date/.test(router.log()) || undefined, 5, router.log);
  const programmedMs = performance.now() - began;
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const routerMemory = privateMiB(router.child.pid!);
  const monitor = new RouteMonitor();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const again = peer(COUNT + 1);
  const announced = await sender.send({ kind: 'record', record: again, intervalMs: 3_600_000 });
  const appearedMs = (await monitor.seen(again.subnets[0]!, 60_000)) - announced;
  monitor.stop();
  sender.stop();
  await Promise.all([router.stop(), discovery.stop()]);
  const row = { unit: 'ms', samples: {} };
  return {
    rows: [
      {
        ...row,
        id: 'crowd.reconciled',
        what: '10,000 peers: discovery.json written, read, and in an empty kernel',
        goal: atMost(1000),
        value: writtenMs + programmedMs,
        note: `written ${writtenMs.toFixed(0)} ms after one more announcement; router started, all read and programmed ${programmedMs.toFixed(0)} ms`,
      },
      {
        ...row,
        id: 'crowd.appear',
        what: '10,000 peers: one more announces itself -> its route is in the kernel',
        value: appearedMs,
      },
      {
        ...row,
        id: 'crowd.memory',
        what: '10,000 peers: private memory of the larger of the two daemons',
        goal: atMost(64),
        value: Math.max(discoveryMemory, routerMemory),
        unit: 'MiB',
        note: `discovery ${discoveryMemory.toFixed(0)}, router ${routerMemory.toFixed(0)}`,
      },
    ],
    series: [],
  };
}
