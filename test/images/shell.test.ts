/** The shell parts of the images, run as they are by this machine's sh. What needs an engine is in the lab's tests. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const REPO = fileURLToPath(new URL('../../', import.meta.url));
const SUPERVISE = join(REPO, 'image/supervise');
const HEALTHCHECK = join(REPO, 'image/healthcheck');

const folder = mkdtempSync(join(tmpdir(), 'docker-router-images-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const uptime = () => Number.parseInt(readFileSync('/proc/uptime', 'utf8'), 10);

const health = join(folder, 'health');
function check(line?: string): { code: number | null; text: string } {
  rmSync(health, { force: true });
  if (line !== undefined) writeFileSync(health, line);
  const { status, stdout, stderr } = spawnSync('sh', [HEALTHCHECK], {
    env: { HEALTH_FILE: health },
    encoding: 'utf8',
  });
  return { code: status, text: (stdout + stderr).trim() };
}

test('the health check believes a fresh word of the daemon and nothing else', () => {
  assert.deepEqual(check(`ok ${uptime()} 2 peers, all well\n`), { code: 0, text: '2 peers, all well' });
  assert.deepEqual(check(`starting ${uptime()} waits for discovery.json\n`), {
    code: 1,
    text: 'starting: waits for discovery.json',
  });
  assert.deepEqual(check(`unhealthy ${uptime()} no handle\n`), { code: 1, text: 'unhealthy: no handle' });
  assert.match(check(`ok ${uptime() - 20} 2 peers\n`).text, /^no sign of life for 2\d s \(last: ok, 2 peers\)$/);
  assert.match(check().text, /does not exist/);
  for (const line of ['', 'ok\n', 'ok soon fine\n', 'ok -5 fine\n', '\n']) assert.equal(check(line).code, 1, line);
  // Whatever is in it is shown, never run.
  assert.equal(check(`ok ${uptime()} $(exit 3); \`exit 3\` *\n`).text, '$(exit 3); `exit 3` *');
});

interface Supervised {
  readonly process: ChildProcess;
  readonly starts: () => { pid: number; at: number }[];
  readonly stderr: () => string;
  readonly ended: Promise<number | null>;
}

const groups: number[] = [];
after(() => {
  for (const group of groups) {
    try {
      process.kill(-group, 'SIGKILL');
    } catch {
      // Ended by itself, as it should.
    }
  }
});

let count = 0;
/** Supervises a shell script that first notes its process id and the time. */
function supervise(script: string): Supervised {
  const log = join(folder, `starts-${++count}`);
  const daemon = join(folder, `daemon-${count}`);
  writeFileSync(log, '');
  writeFileSync(daemon, `read -r up _ </proc/uptime; echo "$$ $up" >>${log}\n${script}\n`);
  // A process group of its own, so that nothing of it can outlive its test.
  const child = spawn('sh', [SUPERVISE, 'sh', daemon], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  groups.push(child.pid!);
  let stderr = '';
  child.stderr?.on('data', (text) => (stderr += text));
  const lines = () => readFileSync(log, 'utf8').split('\n').filter(Boolean);
  return {
    process: child,
    starts: () => lines().map((line) => ({ pid: Number(line.split(' ')[0]), at: Number(line.split(' ')[1]) })),
    stderr: () => stderr,
    ended: new Promise((resolve) => child.once('close', resolve)),
  };
}

async function started(it: Supervised, times: number, seconds = 2): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000; it.starts().length < times; await sleep(10))
    assert.ok(Date.now() < deadline, `not started ${times} times within ${seconds} s: ${it.stderr()}`);
}

/** `exec`: signals reach what waits, as they reach Node.js. */
const RUNS = 'exec sleep 60';
const STOPS = "trap 'exit 0' TERM; while :; do sleep 0.05; done";

test('a killed daemon is back at once, and the supervisor says why it went', async () => {
  const it = supervise(STOPS);
  await started(it, 1);
  process.kill(it.starts()[0]!.pid, 'SIGKILL');
  await started(it, 2);
  const says = /the process ended \(signal 9\); starting it again/;
  // What was written comes in by a pipe, a moment later.
  for (let i = 0; i < 100 && !says.test(it.stderr()); i += 1) await sleep(20);
  assert.match(it.stderr(), says);
  it.process.kill('SIGTERM');
  assert.equal(await it.ended, 0);
});

test('what dies again and again is started ever more seldom, after at most 3 s', async () => {
  const it = supervise('exit 1');
  await started(it, 4, 6);
  // It has ended a fourth time, and the supervisor waits.
  for (let i = 0; i < 200 && it.stderr().split('starting it again').length < 5; i += 1) await sleep(20);
  it.process.kill('SIGTERM');
  const at = it.starts().map((start) => start.at);
  const pauses = at.slice(1).map((time, i) => Math.round(time - at[i]!));
  assert.deepEqual(pauses.slice(0, 3), [0, 1, 3]);
  // Two deaths in a row must be over before a gossip takes a discovery for dead.
  const said = [...it.stderr().matchAll(/starting it again(?: in (\d+) s)?/g)].map(([, seconds = '0']) =>
    Number(seconds),
  );
  assert.deepEqual(said.slice(0, 4), [0, 1, 3, 3]);
  assert.equal(await it.ended, 0, 'stopped during a pause');
});

test('exit codes that no restart would change are the container’s', async () => {
  for (const code of [0, 64, 78]) {
    const it = supervise(`exit ${code}`);
    assert.equal(await it.ended, code);
    assert.equal(it.starts().length, 1);
  }
  assert.equal(spawnSync('sh', [SUPERVISE, '/no/such/program']).status, 127);
});

test('SIGTERM, SIGINT and SIGHUP stop the daemon, once and quickly, however many come', async () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    const it = supervise(`${STOPS.replace('exit 0', 'sleep 0.2; exit 0')}`);
    await started(it, 1);
    await sleep(50);
    const began = Date.now();
    for (let i = 0; i < 5; i++) it.process.kill(signal);
    assert.equal(await it.ended, 0);
    assert.ok(Date.now() - began < 1000, `${signal}: ${Date.now() - began} ms`);
    assert.equal(it.starts().length, 1);
  }
});

test('a daemon that falls to the signal is not started again', async () => {
  const it = supervise(RUNS);
  await started(it, 1);
  it.process.kill('SIGTERM');
  assert.equal(await it.ended, 143);
  assert.equal(it.starts().length, 1);
});

test('a stop in the very moment of the start is not lost', async () => {
  for (let i = 0; i < 30; i++) {
    const it = supervise(STOPS);
    await sleep(i / 2);
    it.process.kill('SIGTERM');
    assert.notEqual(await Promise.race([it.ended, sleep(3000, 'still running')]), 'still running');
  }
});
