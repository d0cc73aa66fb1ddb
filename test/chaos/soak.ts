/** A long run with churn: what grows? Samples of every daemon's memory, open files and timers, and of every router's kernel objects. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { inject } from './campaign.ts';
import { FAULTS } from './faults.ts';
import { seeded, shuffled } from './random.ts';
import type { Sample, World } from './world.ts';

/** Churn that ends no daemon, so that each is watched from the first sample to the last. */
export const CHURN: readonly string[] = [
  'crowd-comes-and-goes',
  'link-flaps',
  'multicast-lost',
  'loss-30-percent',
  'route-deleted',
  'routes-all-deleted',
  'fdb-deleted',
  'nft-table-deleted',
  'discovery-file-garbage',
  'router-file-garbage',
];
/**
 * The daemons give memory back every five minutes (image/compact.mjs), and not while they know 200 stacks; between, V8 keeps what the last stretch of
 * work has used as a reserve. So memory is compared by the least of some minutes: a leak raises that too.
 */
const WINDOW_S = 330;
/** Until every kind of churn was there at least twice: code is compiled, caches and tables have had their largest size. */
const WARM_S = 240;
/** A run shorter than this has no two windows after that. */
export const LEAST_S = WARM_S + 2 * WINDOW_S;
/** Most growth from the first window to the last. */
const MOST_GROWTH = { rssKb: 8 * 1024, files: 3, timers: 3, objects: 0 } as const;

export interface Series {
  readonly seconds: number;
  readonly samples: readonly Sample[];
}

type Field = keyof typeof MOST_GROWTH;
const FIELDS = Object.keys(MOST_GROWTH) as Field[];

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** Growth of a daemon from the first window after the warm-up to the last: of memory the least in each, of all else the median. */
function growth(series: readonly Series[], daemon: string, field: Field): number {
  const end = series.at(-1)?.seconds ?? 0;
  const length = Math.max(WINDOW_S, (end - WARM_S) / 4);
  const of = (from: number) => {
    const values = series
      .filter(({ seconds }) => seconds >= from && seconds <= from + length)
      .flatMap(({ samples }) => samples.find((one) => one.daemon === daemon)?.[field] ?? []);
    // A daemon that was not seen has not been found flat: NaN is no growth that passes.
    return field === 'rssKb' && values.length > 0 ? Math.min(...values) : median(values);
  };
  return of(end - length) - of(WARM_S);
}

export function verdicts(series: readonly Series[]): { daemon: string; field: Field; grew: number; bad: boolean }[] {
  const daemons = [...new Set(series.flatMap(({ samples }) => samples.map(({ daemon }) => daemon)))].sort();
  return daemons.flatMap((daemon) =>
    FIELDS.map((field) => {
      const grew = growth(series, daemon, field);
      return { daemon, field, grew, bad: !(grew <= MOST_GROWTH[field]) };
    }),
  );
}

/** One drawing: a row for memory, files, timers and objects; a line for each daemon. */
export function drawing(series: readonly Series[]): string {
  const [width, height, left] = [720, 150, 60];
  const end = Math.max(1, ...series.map(({ seconds }) => seconds));
  const daemons = [...new Set(series.flatMap(({ samples }) => samples.map(({ daemon }) => daemon)))].sort();
  const rows = FIELDS.map((field, row) => {
    const top = Math.max(1, ...series.flatMap(({ samples }) => samples.map((one) => one[field])));
    const y = (value: number) => (row * (height + 40) + 30 + height * (1 - value / (top * 1.1))).toFixed(1);
    const lines = daemons.map((daemon) => {
      const points = series.flatMap(({ seconds, samples }) => {
        const one = samples.find((sample) => sample.daemon === daemon);
        return one ? [`${(left + ((width - left) * seconds) / end).toFixed(1)},${y(one[field])}`] : [];
      });
      return `<polyline fill="none" stroke="${daemon.endsWith('router') ? '#1668a8' : '#b85c00'}" stroke-opacity="0.6" points="${points.join(' ')}"/>`;
    });
    const name = {
      rssKb: 'resident memory, kB',
      files: 'open files',
      timers: 'timers',
      objects: 'routes, neighbours, forwarding entries, nft elements',
    }[field];
    return `<text x="${left}" y="${row * (height + 40) + 22}">${name}</text><text x="4" y="${y(top)}">${top}</text><text x="4" y="${y(0)}">0</text>${lines.join('')}`;
  });
  const total = FIELDS.length * (height + 40) + 30;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${total}" font-family="sans-serif" font-size="12"><rect width="${width}" height="${total}" fill="white"/>${rows.join('')}<text x="${left}" y="${total - 8}">0 to ${(end / 60).toFixed(0)} minutes; blue: routers, orange: discovery</text></svg>\n`;
}

export interface Soak {
  readonly seed: number;
  readonly minutes: number;
  /** Path of a drawing. */
  readonly svg?: string | undefined;
  /** Path of a file that gets a line of JSON for each look at the daemons. */
  readonly out?: string | undefined;
  readonly say: (text: string) => void;
}

/** Runs churn until the time is over. Returns false when something grew or a fault did not heal. */
export async function soak(world: World, { seed, minutes, svg, out, say }: Soak): Promise<boolean> {
  const random = seeded(seed);
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const series: Series[] = [];
  let violations = 0;
  const churn = FAULTS.filter(({ name }) => CHURN.includes(name));
  while (elapsed() < minutes * 60) {
    for (const fault of shuffled(random, churn)) {
      if (elapsed() > minutes * 60) break;
      const result = await inject(world, random, fault);
      if (result.violation !== undefined) {
        violations += 1;
        say(`✗ ${fault.name}: ${result.violation}`);
      }
      const now = { seconds: elapsed(), fault: fault.name, samples: await world.sample() };
      series.push(now);
      if (out) appendFileSync(out, `${JSON.stringify(now)}\n`);
      await sleep(1000);
    }
    const last = series.at(-1)!.samples;
    say(
      `${(elapsed() / 60).toFixed(1)} min: ${Math.round(median(last.map(({ rssKb }) => rssKb)) / 1024)} MB, ${median(last.map(({ files }) => files))} files (medians of ${last.length} daemons)`,
    );
  }
  if (svg) writeFileSync(svg, drawing(series));
  if (elapsed() < LEAST_S) {
    say(`soak of ${minutes} minutes: ${violations} violations; growth is judged from ${LEAST_S / 60} minutes on`);
    return violations === 0;
  }
  const all = verdicts(series);
  for (const { daemon, field, grew, bad } of all) if (bad) say(`✗ ${daemon}: ${field} grew by ${grew}`);
  for (const field of FIELDS)
    say(
      `${field}: most growth of a daemon ${Math.max(...all.filter((one) => one.field === field).map(({ grew }) => grew))}`,
    );
  say(
    `soak of ${minutes} minutes: ${series.length} samples of ${all.length / FIELDS.length} daemons, ${violations} violations`,
  );
  return violations === 0 && all.every(({ bad }) => !bad);
}
