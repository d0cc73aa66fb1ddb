/** Three hosts without common multicast: connecting, dying, being cut off, healing. Run `npm run build` before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../support/hosts.ts';
import { watchRoutes } from '../support/watched.ts';
import { cutAndHeal } from './cut.ts';
import { CONNECT_MS, HEAL_MS, NOTICE_MS, useGossipHosts } from './hosts.ts';

const hosts = useGossipHosts();
const [one, two, three] = hosts.stacks;

test('all pairs are connected over TCP within 5 s', async (context) => {
  await within(2 * CONNECT_MS, 'all pairs are connected', hosts.connecting());
  const took = hosts.age(one);
  context.diagnostic(
    `connected ${took} ms after the first daemon was started, ${hosts.age(three)} ms after the last one`,
  );
  assert.ok(took < CONNECT_MS, `${took} ms`);
});

test('a stack that stops is unrouted at once, and back soon after its start', async (context) => {
  await hosts.whole();
  const stopping = hosts.stop(three);
  const gone = await within(CONNECT_MS, 'the stopped stack is unrouted', () => hosts.unrouted(three));
  await stopping;
  await hosts.start(three);
  const back = await within(HEAL_MS, 'it is back', hosts.connecting());
  context.diagnostic(`unrouted ${gone} ms after the signal, connected ${back} ms after the start`);
});

test('a stack that is killed is unrouted within 15 s: its agent dies with it', async (context) => {
  await hosts.whole();
  await hosts.kill(three);
  const gone = await within(NOTICE_MS, 'the killed stack is unrouted', () => hosts.unrouted(three));
  await hosts.start(three);
  const back = await within(HEAL_MS, 'it is back', hosts.connecting());
  context.diagnostic(`unrouted ${gone} ms after the kill, connected ${back} ms after the start`);
});

test('a killed stack that is back at once is never unrouted', async () => {
  await hosts.whole();
  await hosts.kill(three);
  await hosts.start(three);
  const end = performance.now() + NOTICE_MS;
  while (performance.now() < end) {
    assert.ok(hosts.routes(one, three) && hosts.routes(two, three));
    await sleep(200);
  }
});

test('a discovery that is killed and back at once takes no route away from its own stack', async () => {
  await hosts.whole();
  const changes: string[] = [];
  const watched = watchRoutes(hosts.topology, three.name, (line) => changes.push(line));
  try {
    for (let round = 0; round < 3; round += 1) {
      await hosts.kill(three);
      await hosts.start(three);
      // It has met the others, and its list counts as whole (roster.ts).
      await sleep(4000);
    }
  } finally {
    await watched.stop();
  }
  assert.deepEqual(changes, []);
});

test('all members but one restart: they find each other again', async (context) => {
  await hosts.whole();
  for (const stack of [one, two]) await hosts.kill(stack);
  await within(NOTICE_MS, 'the killed ones are unrouted', () => !hosts.routes(three, one) && !hosts.routes(three, two));
  for (const stack of [one, two]) await hosts.start(stack);
  const back = await within(HEAL_MS, 'all pairs are connected again', hosts.connecting());
  context.diagnostic(`connected again after ${back} ms`);
});

test('a host that is cut off is unrouted within 15 s, and back within 15 s after the cut heals', async (context) => {
  await hosts.whole();
  context.diagnostic(await cutAndHeal(hosts, { cutMs: 12_000, restart: false }));
});

// The same of five minutes: test/long.
test('a cut in which all the others restart and forget heals within 15 s', async (context) => {
  await hosts.whole();
  context.diagnostic(await cutAndHeal(hosts, { cutMs: 20_000, restart: true }));
});

test('the seeds are down when a stack starts: it waits for them, and they come', async (context) => {
  await hosts.whole();
  for (const stack of hosts.stacks) await hosts.stop(stack);
  // Without its memory it knows nobody but the seeds.
  hosts.remove(three, 'gossip.json');
  await hosts.start(three);
  await sleep(8000);
  assert.match(hosts.health(three), /^ok /);
  for (const stack of [one, two]) await hosts.start(stack);
  const back = await within(HEAL_MS, 'all pairs are connected', hosts.connecting());
  context.diagnostic(`connected ${back} ms after the start of the seeds`);
});
