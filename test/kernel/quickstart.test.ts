/** `scripts/quickstart.sh` as a stranger runs it, in network namespaces: green, broken, healed, gone without a trace. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { down, endpoints, up } from '../../src/embedded/embedded.ts';
import { processFolder, rootOf } from '../../src/embedded/folders.ts';
import { existingNamespaces } from '../../src/embedded/namespaces.ts';
import { measurePath, type Path } from '../../src/embedded/paths.ts';
import { endProcesses, recorded, signalProcess } from '../../src/embedded/processes.ts';
import { untilReady } from '../../src/embedded/readiness.ts';
import { quickstartTopology } from '../../src/embedded/topology.ts';
import { type Result, run, runOk } from '../../src/process/run.ts';
import { whenInterrupted } from '../support/interrupted.ts';
import { commands } from '../support/readme.ts';

const [LINE] = commands('README.md', 'quickstart');
const SCRIPT = fileURLToPath(new URL(`../../${LINE}`, import.meta.url));
/** Prefixes of this process alone, so that neither a user's quickstart nor another test run is touched. */
const PREFIX = `qa${process.pid}`;
const OTHER = `qb${process.pid}`;
/** The script believes this to be the machine's network, so that what it does to that can be seen. */
const MACHINE = `qm${process.pid}`;
/** The machine may be busy: everything is waited for this long before it counts as broken. */
const PATIENCE_MS = 90_000;

const environment = { ...process.env, QUICKSTART_PREFIX: PREFIX, RESYNC_INTERVAL: '2s' };
const command = (...options: string[]) => ['nsenter', [`--net=/run/netns/${MACHINE}`, SCRIPT, ...options]] as const;

/** What `start` has started and has not ended yet. */
const running = new Set<{ readonly ended: Promise<Result> }>();

function start(...options: string[]) {
  const [program, args] = command(...options);
  const child = spawn(program, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (output.stdout += chunk));
  child.stderr.on('data', (chunk) => (output.stderr += chunk));
  const ended = new Promise<Result>((resolve) => {
    child.once('close', (code) => resolve({ code: code ?? 128, ...output }));
  });
  const started = { child, output, ended };
  running.add(started);
  void ended.then(() => running.delete(started));
  return started;
}

const quickstart = (...options: string[]): Promise<Result> => start(...options).ended;
const lastLine = ({ stdout }: Pick<Result, 'stdout'>) => stdout.trim().split('\n').at(-1);

/** Processes whose command line names the folder of a prefix: the daemons and the test servers. */
function processesOf(prefix: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${rootOf(prefix)}/`);
    } catch {
      return false;
    }
  });
}

async function assertNothingLeft(prefix: string): Promise<void> {
  assert.deepEqual(await existingNamespaces(prefix), []);
  assert.deepEqual(processesOf(prefix), []);
  assert.equal(existsSync(rootOf(prefix)), false);
}

async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `not within ${PATIENCE_MS} ms: ${what}`);
    await sleep(100);
  }
}

const path = (prefix: string, from: string, to: string): Path => {
  const all = endpoints(quickstartTopology(prefix));
  const named = (stack: string) => all.find((endpoint) => endpoint.stack === stack)!;
  return { from: named(from), to: named(to) };
};

before(async () => {
  await runOk(['ip', 'netns', 'add', MACHINE]);
});

async function remove(): Promise<void> {
  for (const prefix of [PREFIX, OTHER]) await down(prefix);
  await run(['ip', 'netns', 'delete', MACHINE]);
}
after(remove);
// A quickstart that runs is told by the same signal, and removes what it made itself before anybody else may.
whenInterrupted(async () => {
  await Promise.all([...running].map(({ ended }) => ended));
  await remove();
});

test('--keep: six paths, and the machine has no interface more than before', async () => {
  const result = await quickstart('--embedded', '--keep');
  assert.equal(result.code, 0, result.stdout + result.stderr);
  assert.equal(lastLine(result), 'connected: 6/6 paths');
  const rows = result.stdout.match(/^ {2}stack-[abc] +stack-[abc] +172\.\d+\.0\.4 .* ms +[0-9.]+ [GM]bit\/s$/gm);
  assert.equal(rows?.length, 6);
  const links = JSON.parse(await runOk(['ip', '-n', MACHINE, '-j', 'link'])) as { ifname: string }[];
  assert.deepEqual(
    links.map(({ ifname }) => ifname),
    ['lo'],
  );
});

test('--check with a dead service: its two paths are red, the others green, and its logs are shown', async () => {
  await endProcesses(processFolder(PREFIX), ['stack-b-service']);
  const result = await quickstart('--check');
  assert.equal(result.code, 1);
  assert.equal(lastLine(result), 'connected: 4/6 paths');
  assert.match(result.stdout, /stack-a does not reach stack-b at 172\.31\.0\.4: connection refused/);
  assert.match(result.stdout, /stack-c does not reach stack-b at 172\.31\.0\.4: connection refused/);
  assert.match(result.stdout, new RegExp(`Last lines of ${rootOf(PREFIX)}/logs/stack-b-router\\.log:\\n.*\\[info\\]`));
});

test('a lost tunnel breaks the path, and the router heals it', async () => {
  const router = recorded(processFolder(PREFIX), 'stack-a-router')!;
  // Stopped, so that it cannot heal before the damage was seen.
  signalProcess(router, 'SIGSTOP');
  await runOk(['ip', '-n', `${PREFIX}-stack-a-router`, 'link', 'delete', 'vxlan0']);
  const broken = await measurePath(PREFIX, path(PREFIX, 'stack-c', 'stack-a'));
  signalProcess(router, 'SIGCONT');
  assert.equal(broken.ok, false);
  await until('healed', async () => (await measurePath(PREFIX, path(PREFIX, 'stack-c', 'stack-a'))).ok);
});

test('a second topology with the same addresses and another prefix is another world', async () => {
  const topology = quickstartTopology(OTHER);
  await up(topology);
  await untilReady(topology, { withinMs: PATIENCE_MS });
  // stack-b's service is dead in the first world, alive in this one.
  assert.equal((await measurePath(OTHER, path(OTHER, 'stack-a', 'stack-b'))).ok, true);
  assert.equal((await measurePath(PREFIX, path(PREFIX, 'stack-a', 'stack-b'))).ok, false);
  await down(OTHER);
  await assertNothingLeft(OTHER);
  assert.equal((await measurePath(PREFIX, path(PREFIX, 'stack-a', 'stack-c'))).ok, true);
});

test('started again on top of a kept one it cleans up first; a signal in the middle leaves nothing', async () => {
  const { child, output, ended } = start('--embedded');
  await until('namespaces are there', () => output.stdout.includes('host-2  10.77.0.2'));
  child.kill('SIGTERM');
  const result = await ended;
  assert.equal(result.code, 143);
  assert.match(result.stdout, /removing what an earlier run left/);
  await assertNothingLeft(PREFIX);
});

test('--down removes what a killed run could not', async () => {
  const { child, output, ended } = start('--embedded');
  await until('namespaces are there', () => output.stdout.includes('host-2  10.77.0.2'));
  child.kill('SIGKILL');
  await ended;
  assert.notDeepEqual(await existingNamespaces(PREFIX), []);
  const result = await quickstart('--down');
  assert.equal(result.code, 0, result.stderr);
  await assertNothingLeft(PREFIX);
  assert.equal((await quickstart('--down')).code, 0);
});

test('it refuses in words what it cannot do', async () => {
  const cases: [string[], number, RegExp][] = [
    [['--frobnicate'], 64, /no such option: --frobnicate/],
    [['--check'], 69, /nothing is up/],
  ];
  for (const [options, code, words] of cases) {
    const result = await quickstart(...options);
    assert.equal(result.code, code);
    assert.match(result.stderr, words);
  }
});
