/** A long run with churn: what grows? Samples of every daemon's memory and open files, and of every router's kernel objects. */
import { writeFileSync } from 'node:fs';
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
/** The first minutes fill caches and compile code. */
const WARM_PART = 0.25;
/** Most growth from the first quarter's end to the end: medians, so that a collection at the wrong moment is none. */
const MOST_GROWTH = { rssKb: 8 * 1024, files: 3, objects: 0 } as const;

export interface Series {
  readonly seconds: number;
  readonly samples: readonly Sample[];
}

type Field = keyof typeof MOST_GROWTH;
const FIELDS = Object.keys(MOST_GROWTH) as Field[];

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** Growth of a daemon: median of the last quarter less that of the second. */
function growth(series: readonly Series[], daemon: string, field: Field): number {
  const of = (from: number, to: number) =>
    median(
      series
        .slice(Math.floor(series.length * from), Math.ceil(series.length * to))
        .flatMap(({ samples }) => samples.find((one) => one.daemon === daemon)?.[field] ?? []),
    );
  return of(0.75, 1) - of(WARM_PART, 0.5);
}

export function verdicts(series: readonly Series[]): { daemon: string; field: Field; grew: number; bad: boolean }[] {
  const daemons = [...new Set(series.flatMap(({ samples }) => samples.map(({ daemon }) => daemon)))].sort();
  return daemons.flatMap((daemon) =>
    FIELDS.map((field) => {
      const grew = growth(series, daemon, field);
      return { daemon, field, grew, bad: grew > MOST_GROWTH[field] };
    }),
  );
}

/** One drawing: a row for memory, files and objects; a line for each daemon. */
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
      objects: 'routes, neighbours, forwarding entries, nft elements',
    }[field];
    return `<text x="${left}" y="${row * (height + 40) + 22}">${name}</text><text x="4" y="${y(top)}">${top}</text><text x="4" y="${y(0)}">0</text>${lines.join('')}`;
  });
  const total = FIELDS.length * (height + 40) + 30;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${total}" font-family="sans-serif" font-size="12"><rect width="${width}" height="${total}" fill="white"/>${rows.join('')}<text x="${left}" y="${total - 8}">0 to ${(end / 60).toFixed(0)} minutes; blue: routers, orange: discovery</text></svg>\n`;
}

/** Runs churn until the time is over. Returns false when something grew or a fault did not heal. */
export async function soak(
  world: World,
  { seed, minutes, svg, say }: { seed: number; minutes: number; svg: string | undefined; say: (text: string) => void },
): Promise<boolean> {
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
      series.push({ seconds: elapsed(), samples: await world.sample() });
      await sleep(1000);
    }
    const last = series.at(-1)!.samples;
    say(
      `${(elapsed() / 60).toFixed(1)} min: ${Math.round(median(last.map(({ rssKb }) => rssKb)) / 1024)} MB, ${median(last.map(({ files }) => files))} files (medians of ${last.length} daemons)`,
    );
  }
  if (svg) writeFileSync(svg, drawing(series));
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
