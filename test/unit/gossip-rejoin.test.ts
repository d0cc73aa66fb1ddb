import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { Introductions } from '../../src/sources/gossip/introductions.ts';
import { MemberWatch, pollAfterLook, restAfterLook } from '../../src/sources/gossip/member-watch.ts';
import { keyOf, type Stack } from '../../src/sources/gossip/members.ts';
import { formatMemory, parseMemory, readMemory, writeMemory } from '../../src/sources/gossip/memory-file.ts';
import { candidatePorts, knock, reservePort } from '../../src/sources/gossip/ports.ts';
import {
  lostPlaces,
  MAX_REMEMBERED,
  type Memory,
  pauseAfter,
  pickTargets,
  REMEMBER_MS,
  remember,
  restAfter,
  searchSeeds,
  sweepAfter,
  TARGETS_A_ROUND,
} from '../../src/sources/gossip/rejoin.ts';
import type { RpcConnection } from '../../src/sources/gossip/rpc.ts';
import { record } from '../support/records.ts';

const OWN = '10.0.0.1:7946';
const seed = (address: string, ...ports: number[]) => ({ addresses: [address], ports });
const stacks = (...numbers: number[]) =>
  new Map<string, Stack>(numbers.map((n) => [keyOf(record(n)), { record: record(n), endpoint: `10.0.0.${n}:7946` }]));
const key = (n: number) => keyOf(record(n));

test('a seed is missing until somebody is alive there', () => {
  const seeds = [seed('10.0.0.2', 7946), seed('10.0.0.3', 7946, 7947)];
  assert.deepEqual(searchSeeds(seeds, new Set([OWN]), OWN), {
    missing: ['10.0.0.2:7946', '10.0.0.3:7946', '10.0.0.3:7947'],
    further: [],
  });
  assert.deepEqual(searchSeeds(seeds, new Set([OWN, '10.0.0.3:7947']), OWN), {
    missing: ['10.0.0.2:7946'],
    further: ['10.0.0.3:7946'],
  });
});

test('a stack never looks for itself, but for others on its own host', () => {
  const alone = searchSeeds([seed('10.0.0.1', 7946)], new Set([OWN]), OWN);
  assert.deepEqual(alone, { missing: [], further: [] });
  assert.deepEqual(searchSeeds([seed('10.0.0.1', 7946, 7947)], new Set([OWN]), OWN).missing, ['10.0.0.1:7947']);
});

test('a name with several addresses: each of them is looked for', () => {
  const seeds = [{ addresses: ['10.0.0.2', '10.0.0.3'], ports: [7946] }];
  assert.deepEqual(searchSeeds(seeds, new Set(['10.0.0.2:7946']), OWN).missing, ['10.0.0.3:7946']);
});

test('places are lost where somebody was and nobody is', () => {
  const memory: Memory = new Map([2, 3, 4].map((n) => [key(n), { endpoint: `10.0.0.${n}:7946`, at: 0 }]));
  assert.deepEqual(lostPlaces(memory, new Set([OWN, '10.0.0.3:7946']), OWN), ['10.0.0.2:7946', '10.0.0.4:7946']);
});

test('targets: seeds first, each once, none at rest, no more than a round holds', () => {
  const lost = Array.from({ length: 100 }, (_, i) => `10.1.0.${i}:7946`);
  const search = {
    seeds: ['10.0.0.2:7946'],
    lost: ['10.0.0.2:7946', ...lost],
    aliveCount: 1,
    resting: new Set(['10.1.0.0:7946']),
  };
  const targets = pickTargets(search, Math.random);
  assert.equal(targets[0], '10.0.0.2:7946');
  assert.equal(targets.length, TARGETS_A_ROUND);
  assert.equal(new Set(targets).size, targets.length);
  assert.ok(!targets.includes('10.1.0.0:7946'));
});

test('targets: in time everybody lost is tried', () => {
  const lost = Array.from({ length: 100 }, (_, i) => `10.1.0.${i}:7946`);
  const tried = new Set<string>();
  for (let i = 0; i < 200; i += 1)
    for (const one of pickTargets({ seeds: [], lost, aliveCount: 1, resting: new Set() }, Math.random)) tried.add(one);
  assert.equal(tried.size, lost.length);
});

test('targets: hundreds of members together try about as often as a few', () => {
  const search = { seeds: [], lost: ['10.0.0.9:7946'], resting: new Set<string>() };
  const tries = (aliveCount: number) => {
    let sum = 0;
    for (let i = 0; i < 1000 * aliveCount; i += 1) sum += pickTargets({ ...search, aliveCount }, Math.random).length;
    return sum / 1000;
  };
  assert.equal(tries(3), 3);
  assert.ok(Math.abs(tries(200) - 4) < 0.5);
});

test('pauses grow to three seconds, so that a healed cut is noticed soon; a refusal is not repeated so often', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 99].map(pauseAfter), [200, 300, 500, 1000, 2000, 3000, 3000]);
  assert.deepEqual([0, 1, 2, 3, 4, 99].map(sweepAfter), [300, 700, 1500, 3000, 10_000, 10_000]);
  assert.deepEqual(
    [restAfter(1, true), restAfter(99, true), restAfter(1, false), restAfter(99, false)],
    [2000, 10_000, 2000, 300_000],
  );
});

test('looking takes a tenth of the time at most, and a busy machine still looks', () => {
  assert.equal(restAfterLook(2, 3), 20);
  assert.equal(restAfterLook(400, 20), 200);
  assert.equal(restAfterLook(900, 10_000), 5000);
  assert.deepEqual([0, 3, 200, 10_000].map(pollAfterLook), [2000, 2120, 10_000, 30_000]);
});

test('introductions: at once, then at growing pauses, each to somebody new, until all was said; anew when there is news', () => {
  const introductions = new Introductions();
  const others = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const met: string[] = [];
  const times: number[] = [];
  const run = (from: number) => {
    for (let now = from; now < from + 60_000; now += 100) {
      const next = introductions.next(others, now, 0.99);
      if (next === undefined) continue;
      met.push(next);
      times.push(now - from);
      introductions.met(next, now);
    }
  };
  run(0);
  assert.deepEqual(times, [0, 500, 1500, 3500, 7500, 15_500]);
  assert.equal(new Set(met).size, 6);
  introductions.begin();
  run(100_000);
  assert.equal(times.length, 12);
  assert.equal(new Introductions().next([], 0, 0), undefined);
});

/** An RPC that answers `members` after `tookMs`, or never more once it is broken. */
function fakeRpc(tookMs: number) {
  const fake = {
    looks: 0,
    broken: false,
    ask: async () => {
      fake.looks += 1;
      await sleep(tookMs);
      if (fake.broken) throw new Error('broken');
      return { Members: [fake.looks] };
    },
  };
  return fake;
}

test('watch: it looks at once, soon after a hint, once for many, and not at all after its end', async () => {
  const rpc = fakeRpc(1);
  const seen: unknown[] = [];
  const watch = new MemberWatch(rpc as unknown as RpcConnection, (members) => seen.push(...members), assert.fail);
  await sleep(300);
  assert.deepEqual(seen, [1]);
  for (let i = 0; i < 50; i += 1) watch.hint();
  await sleep(300);
  assert.deepEqual(seen, [1, 2]);
  watch.close();
  watch.hint();
  await sleep(100);
  assert.deepEqual(seen, [1, 2]);
});

test('watch: a hint that comes during a look is followed by another look', async () => {
  const rpc = fakeRpc(50);
  const watch = new MemberWatch(rpc as unknown as RpcConnection, () => undefined, assert.fail);
  await sleep(20);
  watch.hint();
  await sleep(800);
  watch.close();
  assert.equal(rpc.looks, 2);
});

test('watch: without any hint it looks all the same, and a broken connection is told once', async () => {
  const rpc = fakeRpc(1);
  const failures: string[] = [];
  const watch = new MemberWatch(
    rpc as unknown as RpcConnection,
    () => undefined,
    (cause) => failures.push(cause.message),
  );
  await sleep(2600);
  assert.equal(rpc.looks, 2);
  rpc.broken = true;
  watch.hint();
  await sleep(300);
  watch.hint();
  await sleep(300);
  assert.deepEqual([failures, rpc.looks], [['broken'], 3]);
});

test('remembered is where each stack is now, and where the lost ones were; not who said goodbye', () => {
  const first = remember(new Map(), stacks(2, 3, 4), new Set(), 1000);
  assert.deepEqual([...first.keys()], [key(2), key(3), key(4)]);
  const second = remember(first, stacks(2), new Set([key(4)]), 2000);
  assert.deepEqual(second.get(key(2)), { endpoint: '10.0.0.2:7946', at: 2000 });
  assert.deepEqual(second.get(key(3)), { endpoint: '10.0.0.3:7946', at: 1000 });
  assert.equal(second.has(key(4)), false);
});

test('a stack that moved is remembered where it is, once', () => {
  const moved = new Map([[key(2), { record: record(2), endpoint: '10.0.0.99:7950' }]]);
  const memory = remember(remember(new Map(), stacks(2), new Set(), 1000), moved, new Set(), 2000);
  assert.deepEqual([...memory.values()], [{ endpoint: '10.0.0.99:7950', at: 2000 }]);
});

test('the lost are forgotten after a day, and a clock that jumps does not keep them for ever', () => {
  const memory = remember(new Map(), stacks(2), new Set(), 10 * REMEMBER_MS);
  assert.equal(remember(memory, new Map(), new Set(), 10 * REMEMBER_MS + REMEMBER_MS - 1).size, 1);
  assert.equal(remember(memory, new Map(), new Set(), 11 * REMEMBER_MS).size, 0);
  assert.equal(remember(memory, new Map(), new Set(), 9 * REMEMBER_MS).size, 0);
});

test('what is remembered is bounded, and neither the lost nor the living crowd the others out', () => {
  const many = (from: number) =>
    new Map(
      Array.from({ length: 3000 }, (_, i): [string, Stack] => [
        `s-${from + i}/0`,
        { record: record(2), endpoint: `10.0.0.2:${1 + i}` },
      ]),
    );
  const memory = remember(remember(new Map(), many(0), new Set(), 1), many(5000), new Set(), 2);
  assert.equal(memory.size, MAX_REMEMBERED);
  const lost = [...memory.keys()].filter((name) => Number(name.slice(2, -2)) < 5000);
  assert.equal(lost.length, MAX_REMEMBERED / 2);
});

test('the file: what was remembered comes back; damage means nothing is remembered', async () => {
  const memory = remember(new Map(), stacks(2, 3), new Set(), 5000);
  assert.deepEqual(parseMemory(formatMemory(memory)), { ok: true, value: memory });
  const folder = await mkdtemp(join(tmpdir(), 'gossip-'));
  const path = join(folder, 'gossip.json');
  try {
    assert.equal((await readMemory(path)).size, 0);
    await writeMemory(path, memory);
    assert.deepEqual(await readMemory(path), memory);
    for (const bad of [
      '',
      '{',
      '[]',
      '{"version":2,"stacks":{}}',
      '{"version":1,"stacks":{"a":{"endpoint":"example.org:1","at":1}}}',
    ]) {
      await writeFile(path, bad);
      assert.equal((await readMemory(path)).size, 0, bad);
    }
    await writeMemory(join(folder, 'no', 'such', 'folder'), memory);
    assert.equal(await readFile(path, 'utf8').then((text) => text.length > 0), true);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('the file: no text makes an endpoint that is none', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.:]{5,25}$/)), (endpoint) => {
      const parsed = parseMemory(JSON.stringify({ version: 1, stacks: { a: { endpoint, at: 1 } } }));
      if (parsed.ok) assert.match(endpoint, /^\d{1,3}(\.\d{1,3}){3}:[1-9]\d{0,4}$/);
    }),
  );
});

test('ports: the first free one, the last one again when it is among them, never above the end', () => {
  assert.deepEqual(candidatePorts(7946, 3, undefined), [7946, 7947, 7948]);
  assert.deepEqual(candidatePorts(7946, 3, 7948), [7948, 7946, 7947]);
  assert.deepEqual(candidatePorts(7946, 3, 80), [7946, 7947, 7948]);
  assert.deepEqual(candidatePorts(65_534, 64, undefined), [65_534, 65_535]);
});

test('ports: one that is taken or reserved is passed over; who listens is heard, who does not is not', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const { signal } = new AbortController();
  try {
    const candidates = candidatePorts(port, 5, undefined);
    const first = await reservePort('127.0.0.1', candidates);
    const second = await reservePort('127.0.0.1', candidates);
    assert.ok(first && second && first.port > port && second.port > first.port);
    first.release();
    assert.equal((await reservePort('127.0.0.1', candidates))?.port, first.port);
    assert.equal(await knock(`127.0.0.1:${port}`, 1000, signal), true);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  assert.equal(await knock(`127.0.0.1:${port}`, 1000, signal), false);
  assert.equal(await knock(`127.0.0.1:${port}`, 1000, AbortSignal.abort()), false);
  await assert.rejects(reservePort('192.0.2.1', [7946]), /EADDRNOTAVAIL/);
});
