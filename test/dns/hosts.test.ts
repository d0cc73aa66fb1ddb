/** Three hosts whose only common ground is a zone: connecting, stopping, dying, coming back. Run `npm run build` before. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Hosts, within } from '../support/hosts.ts';
import { Bind, DOMAIN, testKey } from './bind.ts';

/** The default. */
const INTERVAL_MS = 5000;
/** Shorter than the default of 90 s, so that the test of a death is. */
const PEER_TIMEOUT_MS = 30_000;
/** What is promised beyond one interval. */
const MARGIN_MS = 2000;
/** For what no promise is about: the machine is shared. */
const LONG_MS = 40_000;
const NAME_SERVER = 'names';
const KEY = testKey();

const hosts = new Hosts({
  server: NAME_SERVER,
  environment: (addresses) => ({
    DISCOVERY_MODE: 'dns',
    DNS_DOMAIN: DOMAIN,
    DNS_UPDATE_SERVER: addresses[NAME_SERVER],
    DNS_TSIG_NAME: KEY.name,
    DNS_TSIG_SECRET: KEY.secret.toString('base64'),
    PEER_TIMEOUT: `${PEER_TIMEOUT_MS}ms`,
    ANNOUNCE_INTERVAL: '1s',
  }),
});
const [one, two, three] = hosts.stacks;
let bind: Bind | undefined;

before(
  () =>
    hosts.up(async () => {
      const place = { namespace: hosts.namespaceOf(NAME_SERVER), address: hosts.addressOf(NAME_SERVER) };
      bind = await Bind.start({ keys: [KEY], port: 53, ...place });
    }),
  { timeout: 60_000 },
);
after(async () => {
  await bind?.close();
  await hosts.down();
});

test('all pairs are connected over TCP within DNS_INTERVAL + 2 s', async (context) => {
  await within(2 * INTERVAL_MS, 'all pairs are connected', hosts.connecting());
  const took = hosts.age(one);
  context.diagnostic(`connected ${took} ms after the first stack was started, ${hosts.age(three)} ms after the last`);
  assert.ok(took < INTERVAL_MS + MARGIN_MS, `${took} ms`);
});

test('a stack that stops is unrouted long before its lease ends, and is back after its start', async (context) => {
  await hosts.whole();
  await hosts.stop(three);
  const gone = await within(LONG_MS, 'the stopped stack is unrouted', () => hosts.unrouted(three));
  await hosts.start(three);
  const back = await within(LONG_MS, 'it is back', hosts.connecting());
  context.diagnostic(`unrouted ${gone} ms after the end of the stop, connected ${back} ms after the start`);
  assert.ok(gone < PEER_TIMEOUT_MS / 2, 'it took itself off the list');
});

test('a stack that is killed is unrouted by PEER_TIMEOUT', {
  timeout: PEER_TIMEOUT_MS + 2 * LONG_MS,
}, async (context) => {
  await hosts.whole();
  await hosts.kill(three);
  const gone = await within(PEER_TIMEOUT_MS + MARGIN_MS, 'the killed stack is unrouted', () => hosts.unrouted(three));
  context.diagnostic(`unrouted ${gone} ms after the kill, PEER_TIMEOUT ${PEER_TIMEOUT_MS} ms`);
  await hosts.start(three);
  await within(LONG_MS, 'it is back', hosts.connecting());
});

test('a killed stack that is back at once is never unrouted', async () => {
  await hosts.whole();
  await hosts.kill(three);
  await hosts.start(three);
  const end = performance.now() + 2 * INTERVAL_MS;
  while (performance.now() < end) {
    assert.ok(hosts.routes(one, three) && hosts.routes(two, three));
    await sleep(200);
  }
});

test('while the name server is away everything stays connected', async () => {
  await hosts.whole();
  await bind!.down();
  await sleep(INTERVAL_MS + MARGIN_MS);
  assert.ok(hosts.connecting()());
  await bind!.up();
  await within(LONG_MS, 'still connected', hosts.connecting());
});
