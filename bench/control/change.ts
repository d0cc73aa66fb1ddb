/** One peer among many moves to another host: how long until the router has it in the kernel. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from '../options.ts';
import { atMost, type Findings, type Row } from '../rows.ts';
import { median, percentile } from '../stats.ts';
import { freshFolder, makeHost } from './namespaces.ts';
import { discoveryFile, peer, peers } from './peers.ts';
import { type Daemon, startRouter, until } from './processes.ts';

const PASS = /kernel brought up to date with (\d+) changes in (\d+) ms/g;

interface Observed {
  readonly lines: number;
  /** The pass by itself, as the router logs it. */
  readonly passMs: number;
  /** From the new file to the end of the pass. */
  readonly totalMs: number;
}

function passes(router: Daemon): RegExpExecArray[] {
  return [...router.log().matchAll(PASS)] as RegExpExecArray[];
}

async function changeOnce(folder: string, router: Daemon, count: number, round: number): Promise<Observed> {
  const records = peers(count);
  const moved = round % count;
  records[moved] = peer(moved, { host_ip: `198.19.255.${(round % 250) + 1}` });
  const temporary = join(folder, 'next');
  writeFileSync(temporary, discoveryFile(records));
  const before = passes(router).length;
  const began = performance.now();
  renameSync(temporary, join(folder, 'discovery.json'));
  const last = await until(20, 'one change', () => passes(router)[before], 1, router.log);
  const totalMs = performance.now() - began;
  return { lines: Number(last[1]), passMs: Number(last[2]), totalMs };
}

async function changes(count: number, rounds: number): Promise<{ passMs: number[]; totalMs: number[]; lines: number }> {
  const folder = freshFolder();
  writeFileSync(join(folder, 'discovery.json'), discoveryFile(peers(count)));
  const router = startRouter(folder, { RESYNC_INTERVAL: '600s' });
  await until(60, `${count} peers`, () => passes(router)[0], 20, router.log);
  const seen: Observed[] = [];
  // The first is not counted: code that runs for the first time is slow.
  for (let round = 0; round <= rounds; round += 1) seen.push(await changeOnce(folder, router, count, round));
  await router.stop();
  const counted = seen.slice(1);
  return {
    passMs: counted.map(({ passMs }) => passMs),
    totalMs: counted.map(({ totalMs }) => totalMs),
    lines: Math.max(...counted.map(({ lines }) => lines)),
  };
}

export async function change({ quick }: Pick<Options, 'quick'>): Promise<Findings> {
  await makeHost();
  const counts = quick ? [100, 10_000] : [10, 100, 1000, 3000, 10_000];
  const rows: Row[] = [];
  const results: Awaited<ReturnType<typeof changes>>[] = [];
  for (const count of counts) results.push(await changes(count, quick ? 10 : 20));
  const { passMs, totalMs, lines } = results.at(-1)!;
  rows.push({
    id: 'change.kernel',
    what: 'one change among 10,000 peers: decided and in the kernel',
    goal: atMost(20),
    value: median(passMs),
    unit: 'ms',
    note: `at most ${lines} lines to the kernel, p99 ${percentile(passMs, 0.99)} ms`,
    samples: { passMs },
  });
  rows.push({
    id: 'change.file',
    what: 'the same, from the new discovery.json on (5 MB read and checked)',
    value: median(totalMs),
    unit: 'ms',
    samples: { totalMs },
  });
  const line = (name: string, of: (result: (typeof results)[number]) => number[]) => ({
    name,
    points: results.map((result, index) => [counts[index]!, Math.max(0.5, median(of(result)))] as const),
  });
  const lines_ = [line('from the file', ({ totalMs }) => totalMs), line('in the router', ({ passMs }) => passMs)];
  return {
    rows,
    series: [{ id: 'change', title: 'One change', x: 'peers', y: 'milliseconds', logarithmic: true, lines: lines_ }],
  };
}
