/** `scripts/bench.sh`: measures, prints a table, writes JSON and plots. */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { isolated } from './isolated.ts';
import { type Options, parseOptions, USAGE, wanted } from './options.ts';
import { svg } from './plot.ts';
import { type Findings, markdownTable, type Row, type Series, textTable } from './rows.ts';

const CONTROL = ['program', 'change', 'appear', 'announce', 'crowd', 'start', 'traffic'];
/** They count processor time and bytes, wait most of the time, and so run beside what is not measured: the lab's start. */
const BESIDE = ['announce', 'traffic'];

interface Collected {
  readonly rows: Row[];
  readonly series: Series[];
}

const say = (text: string) => process.stderr.write(`bench: ${text}\n`);

/** A measurement that fails is a row that says so; the others go on. */
async function measure(collected: Collected, name: string, run: () => Promise<Findings>): Promise<void> {
  const began = performance.now();
  say(`${name} ...`);
  try {
    const { rows, series } = await run();
    collected.rows.push(...rows);
    collected.series.push(...series);
    say(`${name} took ${((performance.now() - began) / 1000).toFixed(0)} s`);
  } catch (cause) {
    const note = (cause as Error).message.split('\n')[0]!.slice(0, 120);
    say(`${name} failed: ${(cause as Error).message}`);
    collected.rows.push({ id: name, what: name, unit: '', note });
  }
}

async function write(options: Options, collected: Collected): Promise<void> {
  const command = ['./scripts/bench.sh', ...process.argv.slice(2)].join(' ');
  const machine = {
    kernel: release(),
    cpus: cpus().length,
    node: process.version,
    load: loadavg(),
  };
  const text = `${JSON.stringify({ version: 1, command, machine, ...collected }, undefined, 1)}\n`;
  if (options.json) await writeFile(options.json, text);
  if (options.table) await writeFile(options.table, `${markdownTable(collected.rows)}\n`);
  if (!options.plots) return;
  await mkdir(options.plots, { recursive: true });
  for (const series of collected.series) await writeFile(join(options.plots, `${series.id}.svg`), svg(series));
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) return void process.stdout.write(USAGE);
  const collected: Collected = { rows: [], series: [] };
  const control = options.sections.includes('control') ? CONTROL.filter((name) => wanted(options.only, name)) : [];
  const later: Collected = { rows: [], series: [] };
  const isolatedOnes = async (names: readonly string[]) => {
    for (const name of names) await measure(later, name, () => isolated(name, options));
  };
  const data = options.sections.includes('data');
  if (data) {
    const { dataPlane } = await import('./data/main.ts');
    const beside = control.filter((name) => BESIDE.includes(name));
    await dataPlane(
      options,
      (name, run) => measure(collected, name, run),
      () => Promise.all(beside.map((name) => isolatedOnes([name]))),
    );
  }
  await isolatedOnes(control.filter((name) => !data || !BESIDE.includes(name)));
  collected.rows.push(...later.rows);
  collected.series.push(...later.series);
  process.stdout.write(`${textTable(collected.rows)}\n`);
  await write(options, collected);
  // What could not be measured for want of something says so; what failed is a failure of the benchmark.
  if (
    collected.rows.length === 0 ||
    collected.rows.some(({ id, value }) => CONTROL.includes(id) && value === undefined)
  )
    process.exitCode = 1;
}

await main().catch((cause: Error) => {
  process.stderr.write(`bench: ${cause.message}\n`);
  process.exitCode = 64;
});
