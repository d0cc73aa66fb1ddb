/** The benchmark itself: that it runs, and says what it measured. What it measured is nobody's assertion. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/process/run.ts';

const MAIN = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
const SMOKE = 'start,appear';

test('the benchmark of the control plane runs, and leaves nothing behind', { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bench-test-'));
  const before = (await run(['ip', 'netns', 'list'])).stdout;
  const json = join(folder, 'out.json');
  const argv = [
    process.execPath,
    '--import',
    'tsx',
    MAIN,
    '--quick',
    '--only',
    SMOKE,
    '--json',
    json,
    'control',
  ] as const;
  const { code, stdout, stderr } = await run([...argv]);
  assert.equal(code, 0, stderr);
  const { rows } = JSON.parse(await readFile(json, 'utf8')) as { rows: { id: string; value?: number }[] };
  assert.deepEqual(rows.map(({ id }) => id).sort(), [
    'appear.etcd',
    'appear.multicast',
    'start.discovery',
    'start.router',
  ]);
  for (const { id, value } of rows) {
    assert.ok(value !== undefined && value > 0, id);
    assert.match(stdout, /until it is ready/);
  }
  assert.equal((await run(['ip', 'netns', 'list'])).stdout, before);
  assert.deepEqual((await readdir(folder)).sort(), ['out.json']);
  await rm(folder, { recursive: true });
});
