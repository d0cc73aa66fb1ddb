/** Many stacks announce, as they always do: what one discovery costs meanwhile. */
import type { Options } from '../options.ts';
import { atMost, type Findings, type Row } from '../rows.ts';
import { freshFolder, makeHost } from './namespaces.ts';
import { cpuMs, type Daemon, privateMiB, startDiscovery } from './processes.ts';
import { Sender } from './sender.ts';

interface Cost {
  readonly cpuPercent: number;
  readonly memory: number;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Peers that the log has named as joined. */
const joined = (log: string) => log.match(/joined/g)?.length ?? 0;

/** Datagrams get lost while the machine has other work; the stacks announce again. @throws Error when some are never heard. */
async function gather(count: number, intervalMs: number, sender: Sender, discovery: Daemon): Promise<void> {
  const known = () => joined(discovery.log()) >= count * 0.99;
  for (let time = 0; time < 20 && !known(); time += 1) {
    await sender.send({ kind: 'once', first: 0, count, perSecond: 1000, intervalMs });
    await sleep(1000);
  }
  if (!known()) throw new Error(`${joined(discovery.log())} of ${count} stacks known after 20 announcements of each`);
}

async function cost(count: number, seconds: number): Promise<Cost> {
  const folder = freshFolder();
  const discovery = startDiscovery(folder);
  const sender = await Sender.start();
  const configuredMs = 30_000;
  if (count > 0) {
    await gather(count, configuredMs, sender, discovery);
    await sender.send({ kind: 'steady', count, configuredMs });
  }
  // What a newcomer sets off is over by then.
  await sleep(3000);
  const pid = discovery.child.pid!;
  const before = cpuMs(pid);
  const began = performance.now();
  await sleep(seconds * 1000);
  const cpuPercent = ((cpuMs(pid) - before) / (performance.now() - began)) * 100;
  const memory = privateMiB(pid);
  sender.stop();
  await discovery.stop();
  return { cpuPercent, memory };
}

export async function announcing({ quick }: Pick<Options, 'quick'>): Promise<Findings> {
  await makeHost();
  const counts = quick ? [0, 1000] : [0, 100, 300, 1000, 3000];
  const costs: Cost[] = [];
  for (const count of counts) costs.push(await cost(count, quick ? 20 : 60));
  const { cpuPercent, memory } = costs[counts.indexOf(1000)]!;
  const idle = costs[0]!;
  const rows: Row[] = [
    {
      id: 'announce.cpu',
      what: '1,000 stacks announcing: CPU of one discovery',
      goal: atMost(1),
      value: cpuPercent,
      unit: '% of a core',
      note: `${idle.cpuPercent.toFixed(2)} % alone`,
    },
    {
      id: 'announce.memory',
      what: '1,000 stacks announcing: private memory of one discovery',
      goal: atMost(16),
      value: memory,
      unit: 'MiB',
      note: `${idle.memory.toFixed(1)} MiB alone`,
    },
  ];
  const lines = [
    { name: 'CPU, % of a core', points: costs.map(({ cpuPercent }, i) => [counts[i]!, cpuPercent] as const) },
    { name: 'private memory, MiB', points: costs.map(({ memory }, i) => [counts[i]!, memory] as const) },
  ];
  const title = 'One discovery while others announce';
  return { rows, series: [{ id: 'announce', title, x: 'stacks', y: '', logarithmic: false, lines }] };
}
