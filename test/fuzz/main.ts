/** Entry of `scripts/fuzz.sh`. */
import { parseArgs } from 'node:util';
import { fuzz, TARGETS } from './campaign.ts';

const { values } = parseArgs({
  options: { cases: { type: 'string' }, seed: { type: 'string' }, target: { type: 'string', multiple: true } },
});
const cases = Number(values.cases ?? 100_000);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const unknown = values.target?.find((name) => !TARGETS.some((target) => target.name === name));
if (!(cases > 0) || !Number.isInteger(seed) || unknown !== undefined) {
  process.stderr.write(`fuzz: --cases N, --seed N, --target NAME of: ${TARGETS.map(({ name }) => name).join(', ')}\n`);
  process.exit(64);
}
process.stdout.write(`seed ${seed}, ${cases} cases of each\n`);
let failed = 0;
for (const target of TARGETS.filter(({ name }) => !values.target || values.target.includes(name))) {
  const {
    name,
    cases: done,
    accepted,
    seconds,
    slowestMs,
    violation,
  } = fuzz(target, { cases, withinMs: Number.POSITIVE_INFINITY, seed });
  const share = `${((100 * accepted) / done).toFixed(1)} % accepted`;
  process.stdout.write(
    `${violation ? '✗' : '✓'} ${name.padEnd(16)} ${done} cases in ${seconds.toFixed(1)} s, ${share}, slowest ${slowestMs.toFixed(1)} ms\n`,
  );
  if (violation) {
    failed += 1;
    process.stdout.write(`    ${violation.words.slice(0, 600)}\n    kept: ${violation.file}\n`);
  }
}
process.stdout.write(failed === 0 ? 'no violation\n' : `${failed} targets with a violation\n`);
process.exitCode = failed === 0 ? 0 : 1;
