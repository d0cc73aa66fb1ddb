/**
 * Commands of the documents that build, test and measure the repository itself, in a fresh copy of it. What would take minutes or hours
 * runs with the numbers that SHORT gives; everything else of the line is as it is written.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run, runOk } from '../../src/process/run.ts';
import { commands } from '../support/readme.ts';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'documents-'));
/** A lab of its own, so that the one of the other tests stays. */
const LAB = `docs${process.pid}`;
/** The machine may be busy with the other lane of the tests. */
const COMMAND_MS = 300_000;

/** In place of hours: one row of the benchmark, the order of the faults without making them, few cases, a second of the flood. */
const SHORT: readonly (readonly [RegExp, string])[] = [
  [/^(\.\/scripts\/bench\.sh .*)$/, '$1 --only start.discovery control'],
  [/^(\.\/scripts\/chaos\.sh [^#]*)/, '$1 --plan '],
  [/--cases 1000000/, '--cases 200 --seed 1'],
  [/^FLOOD_SECONDS=60/, 'FLOOD_SECONDS=1'],
];
const short = (line: string) => SHORT.reduce((text, [long, instead]) => text.replace(long, instead), line);

/** Types a line in the copy. @returns both streams */
async function type(line: string): Promise<string> {
  // What Node's test runner tells its children would make the tests below report to it.
  const argv = ['env', '-u', 'NODE_TEST_CONTEXT', `LAB=${LAB}`, 'bash', '-c', line] as const;
  const { code, stdout, stderr } = await run(['env', '-C', folder, ...argv], '', COMMAND_MS);
  assert.equal(code, 0, `${line}\n${stdout}${stderr}`);
  return stdout + stderr;
}

before(async () => {
  const left = ['node_modules', '.git', 'dist'].map((name) => `--exclude=./**/${name} --exclude=./${name}`).join(' ');
  await runOk(['sh', '-c', `tar -C '${REPOSITORY}' ${left} -c . | tar -C '${folder}' -x`]);
});
after(async () => {
  await run(['env', `LAB=${LAB}`, join(REPOSITORY, 'scripts/lab.sh'), 'down']);
  rmSync(folder, { recursive: true, force: true });
});

test('README: the bundles from a fresh copy of the repository', async () => {
  const [line] = commands('README.md', 'build');
  await type(line!);
  assert.ok(existsSync(join(folder, 'router/dist/docker-router.mjs')));
});

test('docs/lab.md: a lab from up to down', async () => {
  const lines = commands('docs/lab.md', 'lab');
  const said: string[] = [];
  for (const line of lines) said.push(await type(line));
  const of = (part: string) => said[lines.findIndex((line) => line.includes(part))]!;
  assert.match(of('ping'), /1 received/);
  assert.match(of('curl'), /^[0-9a-f]{12} to /, 'the web server says who it is, and whom it saw');
  assert.match(await type('./scripts/lab.sh down'), /is not up/, 'there is none any more');
});

test('README: the tests by file, and the lab', async () => {
  const [everything, file, ...lab] = commands('README.md', 'develop');
  // The first line is what runs this test: CI executes it, and nothing else.
  const ci = readFileSync(join(REPOSITORY, '.ci/run'), 'utf8').trim().split('\n').at(-1);
  assert.equal(ci, `exec ${everything!.split(' ')[0]}`);
  assert.match(await type(file!), /^\d+ passed, 0 failed, 0 skipped$/m);
  for (const line of lab) await type(line);
});

test('docs/performance.md: the benchmark writes its table, its measurements and its plots where it is told', async () => {
  const [line] = commands('docs/performance.md', 'bench');
  assert.match(await type(short(line!)), /until it is ready/);
  for (const name of ['bench.json', 'table.md']) assert.ok(existsSync(join(folder, name)), name);
});

test('docs/reliability.md: campaigns, the soak, fuzzing and the flood', async () => {
  const lines = commands('docs/reliability.md', 'campaigns');
  const expected = [
    /^seed 1, 20 minutes:\n {2}\S/m,
    /^ {2}tunnel-deleted\n/m,
    /, 60 minutes:/,
    /no violation/,
    /^# fail 0$/m,
  ];
  assert.equal(lines.length, expected.length);
  for (const [i, line] of lines.entries()) {
    assert.notEqual(short(line), line);
    assert.match(await type(short(line)), expected[i]!, line);
  }
});
