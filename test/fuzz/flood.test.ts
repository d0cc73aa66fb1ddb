/** 50,000 datagrams a second on the discovery port: noise, halves, and good announcements of stacks that do not exist. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inOwnNamespace } from '../support/own-namespace.ts';

inOwnNamespace(import.meta.url);

const DAEMON = fileURLToPath(new URL('../../discovery/dist/docker-router-discovery.mjs', import.meta.url));
const FLOODER = fileURLToPath(new URL('flooder.mjs', import.meta.url));
/** A minute in the campaign: FLOOD_SECONDS=60. */
const SECONDS = Number(process.env.FLOOD_SECONDS ?? 8);
const RATE = 50_000;
/** 16,384 stacks, which is all the table takes, cost about 60 MB; a leak at this rate would cost a hundred a second. */
const MOST_MEMORY_KB = 400 * 1024;

const root = mkdtempSync(join(tmpdir(), 'docker-router-flood.'));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

function daemon(id: string): ChildProcess {
  const folder = mkdtempSync(join(root, `${id}-`));
  const child = spawn(process.execPath, [DAEMON], {
    stdio: 'ignore',
    env: {
      PATH: process.env.PATH,
      STACK_ID: id,
      VNI: '1000',
      STATE_DIR: folder,
      HEALTH_FILE: join(folder, 'health'),
      ANNOUNCE_INTERVAL: '2s',
      PEER_TIMEOUT: '10s',
    },
  });
  children.push(child);
  return Object.assign(child, { folder });
}

const folderOf = (child: ChildProcess) => (child as ChildProcess & { folder: string }).folder;

function statusOf(child: ChildProcess, peer: string): string | undefined {
  try {
    const file = JSON.parse(readFileSync(join(folderOf(child), 'discovery.json'), 'utf8'));
    return file.peers.find(({ stack_id }: { stack_id: string }) => stack_id === peer)?.status;
  } catch {
    return undefined;
  }
}

async function until(words: string, seconds: number, true_: () => boolean): Promise<number> {
  const began = performance.now();
  while (!true_()) {
    assert.ok(performance.now() - began < seconds * 1000, `not within ${seconds} s: ${words}`);
    await sleep(50);
  }
  return (performance.now() - began) / 1000;
}

/** One process sends some 30,000 a second. */
function flood(rate: number): Promise<{ sent: number; perSecond: number }> {
  const argv = [FLOODER, '239.1.1.1', '4790', String(rate), String(SECONDS)];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let words = '';
  child.stdout.on('data', (chunk: Buffer) => {
    words += chunk;
  });
  return new Promise((resolve) => child.once('close', () => resolve(JSON.parse(words))));
}

const memoryKb = (child: ChildProcess, field: string) =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]);

before(() => {
  for (const line of [
    'link set lo up',
    'link add eth0 type veth peer name eth1',
    'link set eth1 up',
    'link set eth0 up',
    'address add 10.88.0.1/24 dev eth0',
    'route add default via 10.88.0.254',
  ])
    execFileSync('ip', line.split(' '));
});

test(`${RATE} datagrams a second for ${SECONDS} s: peers stay, memory is bounded, and then all is as before`, async (t) => {
  const a = daemon('stack-a');
  const b = daemon('stack-b');
  await until(
    'a and b know each other',
    20,
    () => statusOf(a, 'stack-b') === 'active' && statusOf(b, 'stack-a') === 'active',
  );
  const floods = [1, 2].map(() => flood(RATE / 2));
  let ended = false;
  const results = Promise.all(floods).finally(() => {
    ended = true;
  });
  let looks = 0;
  while (!ended) {
    for (const [one, other] of [
      [a, 'stack-b'],
      [b, 'stack-a'],
    ] as const) {
      const status = statusOf(one, other);
      assert.ok(status === 'active' || status === 'stale', `${other} is ${status} in the flood`);
      looks += 1;
    }
    await sleep(200);
  }
  const all = await results;
  const [sent, perSecond] = (['sent', 'perSecond'] as const).map((key) =>
    all.reduce((sum, one) => sum + one[key], 0),
  ) as [number, number];
  assert.ok(sent > 1000 * SECONDS && looks > 5, 'there was a flood, and it was looked at');
  const newcomer = daemon('stack-c');
  const recovery = await until(
    'b is active, and knows the newcomer',
    60,
    () => statusOf(a, 'stack-b') === 'active' && statusOf(b, 'stack-c') !== undefined,
  );
  const peak = Math.max(memoryKb(a, 'VmHWM'), memoryKb(b, 'VmHWM'));
  assert.ok(peak < MOST_MEMORY_KB, `${peak} kB at most`);
  await until(
    'what the flood invented is gone',
    90,
    () => statusOf(a, 'flood-1') === undefined && statusOf(newcomer, 'stack-a') === 'active',
  );
  t.diagnostic(
    `${perSecond} datagrams/s, ${sent} in all; peak ${Math.round(peak / 1024)} MB, afterwards ${Math.round(memoryKb(a, 'VmRSS') / 1024)} MB; a newcomer known after ${recovery.toFixed(1)} s`,
  );
});
