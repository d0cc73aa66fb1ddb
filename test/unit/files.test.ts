import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as v from 'valibot';
import { LogLimiter, startLog } from '../../src/process/log.ts';
import { run } from '../../src/process/run.ts';
import { parseJson } from '../../src/record/record.ts';
import { hasNetAdmin } from '../../src/router/preflight.ts';
import { announceInterval, answerDelay, jittered, lifetime } from '../../src/sources/multicast/timing.ts';
import { readCapped, removeLeftovers, writeAtomic } from '../../src/state/atomic-file.ts';
import { TrackedFile } from '../../src/state/tracked-file.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'docker-router-files-'));
});
after(() => rm(folder, { recursive: true }));

test('a write leaves one whole file and nothing beside it', async () => {
  const path = join(folder, 'a.json');
  await writeAtomic(path, 'one');
  await writeAtomic(path, 'two');
  assert.equal(await readFile(path, 'utf8'), 'two');
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('a.json')),
    ['a.json'],
  );
});

test('a write that fails leaves the old file and no temporary one', async () => {
  await assert.rejects(writeAtomic(join(folder, 'missing', 'b.json'), 'x'), /ENOENT/);
  await writeFile(join(folder, 'c.json.deadbeef.tmp'), 'half');
  await writeFile(join(folder, 'c.json.mine.tmp'), 'keep');
  await removeLeftovers(join(folder, 'c.json'));
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('c.json')),
    ['c.json.mine.tmp'],
  );
});

test('reading refuses what is too large, a link, and a FIFO, without blocking', async () => {
  await writeFile(join(folder, 'big'), 'x'.repeat(100));
  await symlink(join(folder, 'big'), join(folder, 'link'));
  await run(['mkfifo', join(folder, 'fifo')]);
  await assert.rejects(readCapped(join(folder, 'big'), 99), /larger than 99 bytes/);
  await assert.rejects(readCapped(join(folder, 'link'), 1000));
  await assert.rejects(readCapped(join(folder, 'fifo'), 1000), /not a regular file/);
  assert.equal(await readCapped(join(folder, 'none'), 10), undefined);
});

test('a tracked file is read again only when it changed, and a bad one is told apart from none', async () => {
  const path = join(folder, 'tracked.json');
  const tracked = new TrackedFile(path, 100, (text) => parseJson(v.object({ n: v.number() }), text, 100));
  assert.equal((await tracked.look()).kind, 'absent');
  await writeAtomic(path, '{"n":1}');
  assert.deepEqual(await tracked.look(), { kind: 'good', value: { n: 1 } });
  assert.equal((await tracked.look()).kind, 'unchanged');
  for (const bad of ['{"n":', '{"n":"1"}', 'x'.repeat(101)]) {
    await writeAtomic(path, bad);
    assert.equal((await tracked.look()).kind, 'bad');
  }
});

test('looks that are asked for together are told in that order: nobody hears "unchanged" before the news', async () => {
  const path = join(folder, 'together.json');
  const tracked = new TrackedFile(path, 1_000_000, (text) => parseJson(v.object({ n: v.number() }), text, 1_000_000));
  for (let n = 0; n < 20; n += 1) {
    await writeAtomic(path, JSON.stringify({ n, filler: 'x'.repeat(100_000) }));
    const told: string[] = [];
    const look = () => tracked.look().then(({ kind }) => told.push(kind));
    await Promise.all([look(), look(), look()]);
    assert.deepEqual(told, ['good', 'unchanged', 'unchanged']);
  }
});

test('the log lets one message of a kind through and counts the rest', () => {
  const limiter = new LogLimiter(1000);
  assert.deepEqual(
    [0, 1, 999, 1000, 1001].map((t) => limiter.admit('k', t)),
    [0, undefined, undefined, 2, undefined],
  );
  assert.equal(limiter.admit('other', 1), 0);
});

test('the multicast group sends at a bounded rate however many stacks there are', () => {
  assert.equal(announceInterval(30_000, 3), 30_000);
  assert.equal(announceInterval(30_000, 10_000), 200_000);
  assert.equal(answerDelay(10_000, 1), 4000);
  assert.ok(answerDelay(3, 1) < 30);
  assert.deepEqual(lifetime(30_000, 90_000), { staleAfterMs: 45_000, expireAfterMs: 90_000 });
  assert.equal(lifetime(200_000, 90_000).expireAfterMs, 700_000);
});

test('a slow sender of which two announcements were lost is there until its third, however late', () => {
  for (const stacks of [205, 1000, 10_000]) {
    const intervalMs = announceInterval(2000, stacks);
    const third = 3 * jittered(intervalMs, 1);
    assert.ok(lifetime(intervalMs, 8000).expireAfterMs > third, `${stacks} stacks: ${third} ms`);
  }
});

test('NET_ADMIN is bit 12 of the effective set', () => {
  assert.ok(hasNetAdmin('CapInh:\t0\nCapEff:\t0000000000001000\n'));
  assert.ok(!hasNetAdmin('CapEff:\t0000000000000000\n'));
  assert.ok(!hasNetAdmin('CapPrm:\t0000000000001000\n'));
});

test('a log line says what it was given: braces are no template, control characters do nothing', () => {
  const written: string[] = [];
  const original = process.stderr.write;
  process.stderr.write = ((chunk: string) => written.push(chunk) > 0) as typeof process.stderr.write;
  try {
    startLog('test', { logLevel: 'info', logFormat: 'text' }).warn(
      'aux_addresses: {DefaultGatewayIPv4: 1.2.3.4}\u001b[2J',
    );
  } finally {
    process.stderr.write = original;
  }
  assert.match(written.join(''), /\[warning\] test: aux_addresses: \{DefaultGatewayIPv4: 1\.2\.3\.4\}\?\[2J\n$/);
});

test('LOG_FORMAT=json: one object a line, whatever the message; LOG_LEVEL leaves out what is below it', () => {
  const written: string[] = [];
  const original = process.stderr.write;
  process.stderr.write = ((chunk: string) => written.push(chunk) > 0) as typeof process.stderr.write;
  try {
    const log = startLog('router', { logLevel: 'warning', logFormat: 'json' });
    for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level](`${level} "a"\n\u001b[2J`);
  } finally {
    process.stderr.write = original;
  }
  const lines = written.map((line) => {
    assert.match(line, /^\{[^\n]*\}\n$/);
    const { time, ...rest } = JSON.parse(line);
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
    return rest;
  });
  assert.deepEqual(lines, [
    { level: 'warning', name: 'router', message: 'warn "a"\n\u001b[2J' },
    { level: 'error', name: 'router', message: 'error "a"\n\u001b[2J' },
  ]);
});
