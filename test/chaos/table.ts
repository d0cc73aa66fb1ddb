/** Prints the table of docs/reliability.md from what campaigns wrote with --out: `node --import tsx test/chaos/table.ts FILE...` */
import { readFileSync } from 'node:fs';
import { type Result, summaries } from './campaign.ts';
import { FAULTS } from './faults.ts';

const lines = process.argv.slice(2).flatMap((path) => readFileSync(path, 'utf8').trim().split('\n'));
const results = lines.map((line) => {
  const row = JSON.parse(line) as Result & { healedS: number | null };
  // JSON has no NaN: a fault that never healed.
  return { ...row, healedS: row.healedS ?? Number.NaN };
});
const write = (text: string) => process.stdout.write(`${text}\n`);
write(
  '| fault | promise | limit | times | right after: median, most | longest gap | most lost | losses not judged | over the promise |',
);
write('|---|---|---|---|---|---|---|---|---|');
for (const { fault, times, medianS, mostS, mostGapMs, mostLost, unjudged, violations } of summaries(results)) {
  const { promise = 'the longest of theirs', within } = FAULTS.find(({ name }) => name === fault) ?? {};
  const limit = within === undefined ? '' : `${within} s`;
  write(
    `| \`${fault}\` | ${promise} | ${limit} | ${times} | ${medianS.toFixed(1)} s, ${mostS.toFixed(1)} s | ${mostGapMs} ms | ${mostLost} | ${unjudged || ''} | ${violations || ''} |`,
  );
}
const over = results.filter(({ violation }) => violation !== undefined);
write(
  `\n${results.length} faults, ${over.length} violations, ${results.filter(({ unjudged }) => unjudged !== undefined).length} not judged`,
);
for (const { fault, number, violation } of over) write(`${number} ${fault}: ${violation}`);
