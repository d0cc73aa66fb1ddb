/** Prints the table of docs/reliability.md from what campaigns wrote with --out: `node --import tsx test/chaos/table.ts FILE...` */
import { readFileSync } from 'node:fs';
import { type Result, summaries } from './campaign.ts';
import { FAULTS } from './faults.ts';

interface Row extends Result {
  readonly source: string;
}

const lines = process.argv.slice(2).flatMap((path) => readFileSync(path, 'utf8').trim().split('\n'));
const results = lines.map((line) => {
  const row = JSON.parse(line) as Row & { healedS: number | null };
  // JSON has no NaN: a fault that never healed.
  return { ...row, healedS: row.healedS ?? Number.NaN };
});
const sources = [...new Set(results.map(({ source }) => source))];
const write = (...cells: (string | number)[]) => process.stdout.write(`| ${cells.join(' | ')} |\n`);

/** Median and most seconds until everything was right again, where a source's stacks were hit. */
function rightAfter(fault: string, source: string): string {
  const [summary] = summaries(results.filter((result) => result.fault === fault && result.source === source));
  return summary ? `${summary.medianS.toFixed(1)}, ${summary.mostS.toFixed(1)} s` : '';
}

const head = ['fault', 'promise', 'limit', 'times', ...sources, 'longest gap', 'most lost', 'not judged', 'over'];
write(...head);
process.stdout.write(`|${'---|'.repeat(head.length)}\n`);
for (const { fault, times, mostGapMs, mostLost, unjudged, violations } of summaries(results)) {
  const { promise = 'the longest of theirs', within } = FAULTS.find(({ name }) => name === fault) ?? {};
  const limit = within === undefined ? '' : `${within} s`;
  const after = sources.map((source) => rightAfter(fault, source));
  write(`\`${fault}\``, promise, limit, times, ...after, `${mostGapMs} ms`, mostLost, unjudged || '', violations || '');
}
const over = results.filter(({ violation }) => violation !== undefined);
process.stdout.write(
  `\n${results.length} faults, ${over.length} violations, ${results.filter(({ unjudged }) => unjudged !== undefined).length} not judged\n`,
);
for (const { fault, number, source, violation } of over)
  process.stdout.write(`${source} ${number} ${fault}: ${violation}\n`);
