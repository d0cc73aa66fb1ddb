/** Three hosts without common multicast: connecting, dying, being cut off, healing. Run `npm run build` before. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from '../../src/embedded/topology.ts';
import { until, World } from './world.ts';

/** What the issue demands of the lan profile. */
const CONNECT_MS = 5000;
const NOTICE_MS = 15_000;
const HEAL_MS = 15_000;
const LONG_CUT_MS = 5 * 60_000;
const LONG = process.env.CI === 'true' || process.env.GOSSIP_LONG_CUT === 'true';

const world = new World('gossip', { GOSSIP_PROFILE: process.env.GOSSIP_PROFILE ?? 'lan' });
const [one, two, three] = world.stacks as [Stack, Stack, Stack];
const pairs = world.pairs();

/** Removes the pairs that can talk to each other; true when none is left. */
function connected(waiting: Set<[Stack, Stack]>): boolean {
  for (const pair of waiting) if (world.reaches(...pair)) waiting.delete(pair);
  return waiting.size === 0;
}
const unrouted = (gone: Stack, by: readonly Stack[]) => by.every((stack) => !world.routes(stack, gone));
const routed = (some: readonly [Stack, Stack][]) => some.every(([from, to]) => world.routes(from, to));

before(() => world.up());
after(() => world.down());

test('all pairs are connected over TCP within 5 s', async (context) => {
  const waiting = new Set(pairs);
  await until(() => connected(waiting), CONNECT_MS, 'all pairs are connected');
  const took = world.age(one);
  context.diagnostic(
    `connected ${took} ms after the first daemon was started, ${world.age(three)} ms after the last one`,
  );
  assert.ok(took < CONNECT_MS, `${took} ms`);
});

test('a stack that stops is unrouted at once, and back soon after its start', async (context) => {
  const stopping = world.stop(three);
  const gone = await until(() => unrouted(three, [one, two]), CONNECT_MS, 'the stopped stack is unrouted');
  await stopping;
  await world.start(three);
  const back = await until(() => routed(pairs), HEAL_MS, 'it is routed again');
  context.diagnostic(`unrouted ${gone} ms after the signal, routed ${back} ms after the start`);
});

test('a stack that is killed is unrouted within 15 s: its agent dies with it', async (context) => {
  await world.kill(three);
  const gone = await until(() => unrouted(three, [one, two]), NOTICE_MS, 'the killed stack is unrouted');
  await world.start(three);
  const back = await until(() => routed(pairs), HEAL_MS, 'it is routed again');
  context.diagnostic(`unrouted ${gone} ms after the kill, routed ${back} ms after the start`);
});

test('a killed stack that is back at once is never unrouted', async () => {
  await world.kill(three);
  await world.start(three);
  const end = performance.now() + NOTICE_MS;
  while (performance.now() < end) {
    assert.ok(!unrouted(three, [one]) && !unrouted(three, [two]));
    await sleep(200);
  }
});

test('all members but one restart: they find each other again', async (context) => {
  for (const stack of [one, two]) await world.kill(stack);
  await until(() => unrouted(one, [three]) && unrouted(two, [three]), NOTICE_MS, 'the killed ones are unrouted');
  for (const stack of [one, two]) await world.start(stack);
  const waiting = new Set(pairs);
  const back = await until(() => routed(pairs) && connected(waiting), HEAL_MS, 'all pairs are connected again');
  context.diagnostic(`connected again after ${back} ms`);
});

test('a host that is cut off is unrouted within 15 s, and back within 15 s after the cut heals', async (context) => {
  await world.cable(three, 'down');
  const gone = await until(() => unrouted(three, [one, two]), NOTICE_MS, 'the host that is cut off is unrouted');
  await sleep(5000);
  await world.cable(three, 'up');
  const waiting = new Set(pairs);
  const back = await until(() => routed(pairs) && connected(waiting), HEAL_MS, 'all pairs are connected again');
  context.diagnostic(`unrouted after ${gone} ms, connected again after ${back} ms`);
});

test('the seeds are down when a stack starts: it waits for them, and they come', async (context) => {
  for (const stack of world.stacks) await world.stop(stack);
  // Without its memory it knows nobody but the seeds.
  world.forget(three);
  await world.start(three);
  await sleep(8000);
  assert.match(world.health(three), /^ok /);
  for (const stack of [one, two]) await world.start(stack);
  const waiting = new Set(pairs);
  const back = await until(() => routed(pairs) && connected(waiting), HEAL_MS, 'all pairs are connected');
  context.diagnostic(`connected ${back} ms after the start of the seeds`);
});

const skip = LONG ? undefined : 'takes more than 5 minutes; run with CI=true or GOSSIP_LONG_CUT=true';
test('a cut of 5 minutes, in which all the others restart, heals within 15 s', {
  ...(skip && { skip }),
}, async (context) => {
  await world.cable(three, 'down');
  const gone = await until(() => unrouted(three, [one, two]), NOTICE_MS, 'the host that is cut off is unrouted');
  await sleep(LONG_CUT_MS / 2);
  for (const stack of [one, two]) {
    await world.kill(stack);
    world.forget(stack);
    await world.start(stack);
  }
  await sleep(LONG_CUT_MS / 2 - gone);
  await world.cable(three, 'up');
  const waiting = new Set(pairs);
  const back = await until(() => routed(pairs) && connected(waiting), HEAL_MS, 'all pairs are connected again');
  context.diagnostic(`unrouted after ${gone} ms, connected again after ${back} ms`);
});
