/** Three hosts whose only common ground is a zone: connecting, stopping, dying, coming back. Run `npm run build` before. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from '../../src/embedded/topology.ts';
import { World } from './world.ts';

/** The default. */
const INTERVAL_MS = 5000;
/** Shorter than the default of 90 s, so that the test of a death is; DNS_PEER_TIMEOUT=90 measures the default. */
const PEER_TIMEOUT_MS = 1000 * Number(process.env.DNS_PEER_TIMEOUT ?? 30);
/** What the issue allows beyond one interval. */
const MARGIN_MS = 2000;
/** For what no promise is about: the machine is shared. */
const LONG_MS = 40_000;

const world = new World('dns', { PEER_TIMEOUT: `${PEER_TIMEOUT_MS}ms`, ANNOUNCE_INTERVAL: '1s' });
const [one, two, three] = world.stacks as [Stack, Stack, Stack];

before(() => world.up(), { timeout: 60_000 });
after(() => world.down());

/** Milliseconds until `holds`. */
async function until(holds: () => boolean, withinMs: number, what: string): Promise<number> {
  const began = performance.now();
  while (!holds()) {
    if (performance.now() - began > withinMs) assert.fail(`${what}: not within ${withinMs} ms`);
    await sleep(50);
  }
  return Math.round(performance.now() - began);
}

/** Whether all pairs can talk to each other; a pair that could is not asked again. */
function connected(waiting = new Set(world.pairs())): () => boolean {
  return () => {
    for (const pair of waiting) if (world.reaches(...pair)) waiting.delete(pair);
    return waiting.size === 0;
  };
}
const unrouted = (gone: Stack) => () => [one, two].every((viewer) => !world.routes(viewer, gone));

test('all pairs are connected over TCP within DNS_INTERVAL + 2 s', async (context) => {
  await until(connected(), 2 * INTERVAL_MS, 'all pairs are connected');
  const took = world.age(three);
  context.diagnostic(`connected ${took} ms after the last stack was started, ${world.age(one)} ms after the first`);
  assert.ok(took < INTERVAL_MS + MARGIN_MS, `${took} ms`);
});

test('a stack that stops is unrouted long before its lease ends, and is back after its start', async (context) => {
  await world.stop(three);
  const gone = await until(unrouted(three), LONG_MS, 'the stopped stack is unrouted');
  await world.start(three);
  await until(connected(), LONG_MS, 'it is back');
  const back = world.age(three);
  context.diagnostic(`unrouted ${gone} ms after the end of the stop, connected ${back} ms after the start`);
  assert.ok(gone < PEER_TIMEOUT_MS / 2, 'it took itself off the list');
});

test('a stack that is killed is unrouted by PEER_TIMEOUT', {
  timeout: PEER_TIMEOUT_MS + 2 * LONG_MS,
}, async (context) => {
  world.kill(three);
  const gone = await until(unrouted(three), PEER_TIMEOUT_MS + 2 * MARGIN_MS, 'the killed stack is unrouted');
  context.diagnostic(`unrouted ${gone} ms after the kill, PEER_TIMEOUT ${PEER_TIMEOUT_MS} ms`);
  await world.start(three);
  await until(connected(), LONG_MS, 'it is back');
});

test('a killed stack that is back at once is never unrouted', async () => {
  world.kill(three);
  await world.start(three);
  const end = performance.now() + 2 * INTERVAL_MS;
  while (performance.now() < end) {
    assert.ok(world.routes(one, three) && world.routes(two, three));
    await sleep(200);
  }
});

test('while the name server is away everything stays connected', async () => {
  await world.bind.down();
  await sleep(INTERVAL_MS + MARGIN_MS);
  assert.ok(connected()());
  await world.bind.up();
  await until(connected(), LONG_MS, 'still connected');
});
