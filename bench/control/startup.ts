/** From the start of a daemon's process until its health file says ok. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from '../options.ts';
import { atMost, type Findings, type Row } from '../rows.ts';
import { interleaved, median, percentile } from '../stats.ts';
import { freshFolder, makeHost } from './namespaces.ts';
import { type Daemon, healthy, startDiscovery, startRouter, until } from './processes.ts';

async function ready(folder: string, start: (folder: string) => Daemon): Promise<number> {
  for (const name of ['discovery', 'router']) rmSync(join(folder, `health-${name}`), { force: true });
  const began = performance.now();
  const daemon = start(folder);
  await until(20, 'ready', () => healthy(daemon), 1, daemon.log);
  const took = performance.now() - began;
  await daemon.stop();
  return took;
}

async function nothing(): Promise<number> {
  const { spawn } = await import('node:child_process');
  const began = performance.now();
  await new Promise((resolve) => spawn(process.execPath, ['-e', '0']).once('exit', resolve));
  return performance.now() - began;
}

export async function startup({ quick }: Pick<Options, 'quick'>): Promise<Findings> {
  await makeHost();
  const folder = freshFolder();
  // Both once, so that the volume holds what it holds after the first start.
  await ready(folder, startDiscovery);
  await ready(folder, startRouter);
  const samples = await interleaved(quick ? 7 : 20, {
    discovery: () => ready(folder, startDiscovery),
    router: () => ready(folder, startRouter),
    'an empty Node process': nothing,
  });
  const empty = median(samples['an empty Node process']!);
  const row = (name: 'discovery' | 'router'): Row => ({
    id: `start.${name}`,
    what: `start of ${name} until it is ready`,
    goal: atMost(150),
    value: median(samples[name]!),
    unit: 'ms',
    note: `p95 ${percentile(samples[name]!, 0.95).toFixed(0)} ms; ${empty.toFixed(0)} ms for Node itself`,
    samples,
  });
  return { rows: [row('discovery'), row('router')], series: [] };
}
