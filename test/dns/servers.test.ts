/** Servers that hang, die, come back, lag behind or serve hundreds of records. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Stack, until } from '../conformance/lab.ts';
import { inPrivateNetwork } from '../conformance/network.ts';
import { Bind, testKey } from './bind.ts';
import { type Changes, ids, lastMessage, PEER_TIMEOUT_MS, SERVICE, SOON_MS, says, sees, stack } from './sources.ts';

const KEY = testKey();
const SECONDARY_PORT = 5354;

let primary: Bind;
let secondary: Bind;
const running = new Set<Stack>();
await inPrivateNetwork(import.meta.url);
before(async () => {
  // Tells the secondary of each change at once, as primaries do (RFC 1996).
  const options = `allow-transfer { any; }; notify explicit; also-notify { 127.0.0.1 port ${SECONDARY_PORT}; }; notify-delay 0;`;
  primary = await Bind.start({ keys: [KEY], options });
  const zoneStatements = `primaries { 127.0.0.1 port ${primary.server.port}; }; min-refresh-time 1; allow-notify { 127.0.0.1; };`;
  secondary = await Bind.start({
    keys: [],
    zoneType: 'secondary',
    zoneStatements,
    port: SECONDARY_PORT,
    options: 'serial-query-rate 100;',
  });
});
afterEach(async () => {
  await Promise.all([...running].map(({ source }) => source.stop()));
  running.clear();
});
after(() => Promise.all([primary.close(), secondary.close()]));

function run(n: number, changes: Changes = {}): Stack {
  const made = stack(n, primary, changes).publish().start();
  running.add(made);
  return made;
}

test('a server that hangs is passed over, and its peers are kept meanwhile', async () => {
  const both = [secondary.server, primary.server];
  const [one, viewer] = [run(1), run(2, { servers: both, key: false })];
  await sees(viewer, 'stack-1');
  assert.match(lastMessage(viewer), new RegExp(`from 127\\.0\\.0\\.1:${SECONDARY_PORT}`));
  secondary.freeze();
  try {
    one.change({ vxlan_port: 4799 });
    await until(
      () => viewer.has(one.record),
      SOON_MS,
      'the change, by the other server',
      () => viewer.events.slice(-3),
    );
    assert.equal(viewer.works, true);
    assert.ok(
      viewer.events.every((event) => event.type !== 'state' || event.ok),
      'never failing',
    );
  } finally {
    secondary.thaw();
  }
});

test('a primary server that is down costs nobody a peer while a secondary still serves the zone', async () => {
  const servers = [secondary.server];
  const [one, two] = [run(1, { servers }), run(2, { servers })];
  await sees(one, 'stack-2');
  await sees(two, 'stack-1');
  await primary.down();
  await sleep(3 * PEER_TIMEOUT_MS);
  assert.deepEqual([ids(one), ids(two)], ['stack-2', 'stack-1'], 'nobody could renew');
  assert.ok(
    [one, two].every((stack) => stack.everything()[0]!.stale),
    'but they are stale',
  );
  await says(one, /nothing listens there/);
  await primary.up();
  await until(
    () => one.works === true && two.works === true,
    SOON_MS,
    'renewing again',
    () => one.events.slice(-3),
  );
  // From here on silence counts again.
  await two.source.stop();
  running.delete(two);
  await sees(one, '');
});

test('all servers down: the peers stay, stale, and are fresh again afterwards', async () => {
  const [one, two] = [run(1), run(2)];
  await sees(one, 'stack-2');
  await primary.down();
  await until(
    () => one.works === false,
    SOON_MS,
    'told',
    () => one.events.slice(-3),
  );
  await sleep(2 * PEER_TIMEOUT_MS);
  assert.equal(ids(one), 'stack-2');
  assert.ok(one.everything()[0]!.stale);
  await primary.up();
  await until(
    () => one.works === true && !one.everything()[0]?.stale,
    SOON_MS,
    'fresh',
    () => one.events.slice(-3),
  );
  assert.equal(ids(two), 'stack-1');
});

test('300 stacks among 300 records of other services, and one with 300 SRV records', async (context) => {
  const hosts = Array.from({ length: 300 }, (_, i) => {
    const name = `many-${String(i).padStart(3, '0')}`;
    const net = `10.${10 + (i >> 8)}.${i & 255}`;
    return [
      `_docker-router._udp IN PTR ${name}._docker-router._udp`,
      `_docker-router._udp IN PTR printer-${i}._ipp._tcp`,
      `${name}._docker-router._udp IN SRV 0 0 4789 ${name}`,
      `${name}._docker-router._udp IN TXT "vni=1000" "net=${net}.0/24" "gw=${net}.2"`,
      `${name} IN A 10.200.${i >> 8}.${i & 255}`,
    ].join('\n');
  });
  // One more that 301 SRV records stand under, of which the one with the lowest priority counts.
  const wide = [
    '_docker-router._udp IN PTR wide._docker-router._udp',
    ...Array.from({ length: 300 }, (_, i) => `wide._docker-router._udp IN SRV ${10 + i} 0 ${10_000 + i} many-000`),
    'wide._docker-router._udp IN SRV 1 0 4790 wide',
    'wide._docker-router._udp IN TXT "vni=1000" "net=10.99.0.0/24" "gw=10.99.0.2"',
    'wide IN A 10.200.99.1',
  ];
  const records = [...hosts, ...wide].join('\n');
  const large = await Bind.start({ keys: [], zoneStatements: 'max-records-per-type 0;', records });
  try {
    assert.match(
      large.dig('PTR', SERVICE, '+ignore', '+comments', '+bufsize=1232'),
      /flags:[^;]* tc/,
      'does not fit a datagram',
    );
    const viewer = run(1, { servers: [large.server], key: false });
    const began = performance.now();
    await until(
      () => viewer.everything().length === 301,
      SOON_MS,
      'all',
      () => viewer.events.slice(-1),
    );
    context.diagnostic(`301 stacks were read in ${Math.round(performance.now() - began)} ms`);
    assert.equal(new Set(viewer.everything().map(({ record }) => record.subnets[0])).size, 301);
    const { vxlan_port, host_ip } = viewer.everything().find(({ record }) => record.stack_id === 'wide')!.record;
    assert.deepEqual([vxlan_port, host_ip], [4790, '10.200.99.1']);
    const dropped = viewer.events.filter((event) => event.type === 'dropped');
    assert.equal(dropped.length, 1, 'said once, not 300 times');
    assert.match(JSON.stringify(dropped), /300 names that no stack can have/);
    // 300 stacks at 50 a second: looked at every six seconds although every 0.3 s was asked for.
    const looks = () => viewer.events.filter(({ type }) => type === 'snapshot').length;
    await sleep(3000);
    assert.equal(looks(), 1, `${looks()} looks in 3 s`);
  } finally {
    await large.close();
  }
});

test('a full list says what to change on the server', async () => {
  // BIND holds 100 records of a type at a name unless told otherwise: here two.
  const zoneStatements = `update-policy { grant ${KEY.name} zonesub ANY; }; max-records-per-type 2;`;
  const small = await Bind.start({ keys: [KEY], zoneStatements });
  try {
    const stacks = [1, 2, 3].map((n) => stack(n, small).publish().start());
    for (const one of stacks) running.add(one);
    const full = () => stacks.find(({ works }) => works === false);
    await until(
      () => full() !== undefined,
      SOON_MS,
      'told',
      () => stacks.map(lastMessage),
    );
    assert.match(full()!.trouble!, /max-records-per-type/);
  } finally {
    await small.close();
  }
});
