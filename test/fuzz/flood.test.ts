/** 50,000 datagrams a second on the discovery port: noise, halves, and good announcements of stacks that do not exist. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DiscoveryProcesses, makeNetwork, until } from '../support/discovery-process.ts';
import { inOwnNamespace } from '../support/own-namespace.ts';

inOwnNamespace(import.meta.url);

const FLOODER = fileURLToPath(new URL('flooder.mjs', import.meta.url));
/** A minute in the campaign: FLOOD_SECONDS=60. */
const SECONDS = Number(process.env.FLOOD_SECONDS ?? 8);
const RATE = 50_000;
/** 16,384 stacks, which is all the table takes, cost about 60 MB; a leak at this rate would cost a hundred a second. */
const MOST_MEMORY_KB = 400 * 1024;
/** Shorter than the shortest flood: of the announcements most are lost with the rest, and peers stay nevertheless. */
const TIMES = { ANNOUNCE_INTERVAL: '1s', PEER_TIMEOUT: '5s' };

const processes = new DiscoveryProcesses();
const floods: ChildProcess[] = [];
before(makeNetwork);
after(() => {
  for (const child of floods) child.kill('SIGKILL');
  processes.end();
});

/** One process sends some 30,000 a second. */
function flood(rate: number): Promise<{ sent: number; perSecond: number }> {
  const argv = [FLOODER, '239.1.1.1', '4790', String(rate), String(SECONDS)];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  floods.push(child);
  let words = '';
  child.stdout.on('data', (chunk: Buffer) => {
    words += chunk;
  });
  return new Promise((resolve) => child.once('close', () => resolve(JSON.parse(words))));
}

const memoryKb = (child: ChildProcess, field: string) =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]);

test(`${RATE} datagrams a second for ${SECONDS} s: peers stay, memory is bounded, and then all is as before`, async (t) => {
  const a = processes.start('stack-a', TIMES);
  const b = processes.start('stack-b', TIMES);
  await until(
    'a and b know each other',
    20,
    () => processes.status('stack-a', 'stack-b') === 'active' && processes.status('stack-b', 'stack-a') === 'active',
  );
  const senders = [1, 2].map(() => flood(RATE / 2));
  let ended = false;
  const results = Promise.all(senders).finally(() => {
    ended = true;
  });
  let looks = 0;
  while (!ended) {
    for (const [one, other] of [
      ['stack-a', 'stack-b'],
      ['stack-b', 'stack-a'],
    ] as const) {
      const status = processes.status(one, other);
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
  processes.start('stack-c', TIMES);
  const recovery = await until(
    'b is active, and knows the newcomer',
    60,
    () => processes.status('stack-a', 'stack-b') === 'active' && processes.status('stack-b', 'stack-c') !== undefined,
  );
  const peak = Math.max(memoryKb(a, 'VmHWM'), memoryKb(b, 'VmHWM'));
  assert.ok(peak < MOST_MEMORY_KB, `${peak} kB at most`);
  await until(
    'what the flood invented is gone',
    90,
    () => processes.status('stack-a', 'flood-1') === undefined && processes.status('stack-c', 'stack-a') === 'active',
  );
  t.diagnostic(
    `${perSecond} datagrams/s, ${sent} in all; peak ${Math.round(peak / 1024)} MB, afterwards ${Math.round(memoryKb(a, 'VmRSS') / 1024)} MB; a newcomer known after ${recovery.toFixed(1)} s`,
  );
});
