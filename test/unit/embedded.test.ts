import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { daemonEnvironment, daemonNamespace } from '../../src/embedded/daemons.ts';
import { baseImages } from '../../src/embedded/docker.ts';
import { batches } from '../../src/embedded/layout.ts';
import { type Endpoint, type Outcome, orderedPairs, outcomeOf } from '../../src/embedded/paths.ts';
import { parseStat } from '../../src/embedded/processes.ts';
import { Progress } from '../../src/embedded/progress.ts';
import { activePeers, routedSubnets, unhealthy } from '../../src/embedded/readiness.ts';
import { concerned, failureLines, hintLines } from '../../src/embedded/report.ts';
import { readOptions } from '../../src/embedded/session.ts';
import { PathTable, verdict } from '../../src/embedded/table.ts';
import {
  belongsTo,
  checkedPrefix,
  checkTopology,
  expectedPeers,
  namespaceNames,
  quickstartTopology,
  type Topology,
} from '../../src/embedded/topology.ts';
import { formatMs, formatRate } from '../../src/text/units.ts';

const TOPOLOGY = quickstartTopology('drq');
const [A, B, C] = TOPOLOGY.stacks;
const endpoint = (stack: string, host: string, address: string): Endpoint => ({ stack, host, address, enter: ['env'] });
const ENDPOINTS = [
  endpoint('stack-a', 'host-1', '172.30.0.4'),
  endpoint('stack-b', 'host-2', '172.31.0.4'),
  endpoint('stack-c', 'host-1', '172.29.0.4'),
];
const PATHS = orderedPairs(ENDPOINTS);
const OK: Outcome = { ok: true, server: 'x', seenAs: 'y', roundTripMs: 0.1234, bitsPerSecond: 9.806e9 };
const FAILED: Outcome = { ok: false, error: 'no answer' };

const linesOf = (topology: Topology, namespace: string) =>
  batches(topology)
    .filter((batch) => batch.namespace === namespace)
    .flatMap(({ lines }) => lines);

test('a host has its address, its default route, and a bridge with two containers for each of its stacks', () => {
  assert.deepEqual(linesOf(TOPOLOGY, 'drq-host-2'), [
    'link set lo up',
    'link add eth0 mtu 1500 type veth peer name port2 mtu 1500 netns drq-switch',
    'address add 10.77.0.2/24 dev eth0',
    'link set eth0 up',
    'route add default via 10.77.0.254',
    'link add br2 type bridge',
    'address add 172.31.0.1/24 dev br2',
    'link add router2 mtu 1500 type veth peer name eth0 mtu 1500 netns drq-stack-b-router',
    'link add service2 mtu 1500 type veth peer name eth0 mtu 1500 netns drq-stack-b-service',
    'link set router2 master br2 up',
    'link set service2 master br2 up',
    'link set br2 up',
  ]);
});

test('containers have the addresses that Docker would give them, and the steered gateway', () => {
  const container = (address: string) => [
    'link set lo up',
    `address add ${address}/24 dev eth0`,
    'link set eth0 up',
    'route add default via 172.30.0.2',
  ];
  assert.deepEqual(linesOf(TOPOLOGY, 'drq-stack-a-router'), container('172.30.0.3'));
  assert.deepEqual(linesOf(TOPOLOGY, 'drq-stack-a-service'), container('172.30.0.4'));
});

test('every namespace is configured, and each peer of a cable is one of them', () => {
  const names = namespaceNames(TOPOLOGY);
  assert.deepEqual([...new Set(batches(TOPOLOGY).map(({ namespace }) => namespace))].sort(), [...names].sort());
  const peers = batches(TOPOLOGY).flatMap(({ lines }) =>
    lines.flatMap((line) => / netns (\S+)$/.exec(line)?.[1] ?? []),
  );
  assert.ok(peers.every((peer) => names.includes(peer)));
});

test('underlay, MTU and subnets are parameters', () => {
  const topology: Topology = {
    prefix: 'xy',
    hosts: ['left'],
    stacks: [{ name: 'one', host: 'left', subnet: '10.9.0.0/16', mtu: 1450 }],
    underlay: { subnet: '10.78.0.0/24', mtu: 1400 },
  };
  const text = linesOf(topology, 'xy-left').join('\n');
  assert.match(text, /eth0 mtu 1400 type veth peer name port1 mtu 1400/);
  assert.match(text, /router1 mtu 1450/);
  assert.match(text, /address add 10\.78\.0\.1\/24 dev eth0/);
  assert.match(text, /address add 10\.9\.0\.1\/16 dev br1/);
});

test('no prefix claims the namespaces of another', () => {
  const prefix = fc.stringMatching(/^[a-z][a-z0-9]{1,11}$/);
  fc.assert(
    fc.property(prefix, prefix, (one, other) => {
      fc.pre(one !== other);
      return namespaceNames(quickstartTopology(one)).every((name) => belongsTo(one, name) && !belongsTo(other, name));
    }),
  );
});

test('a prefix or a topology that cannot be built is refused in words', () => {
  for (const bad of ['', 'a', 'Drq', 'a-b', '../x', 'abcdefghijklm'])
    assert.throws(() => checkedPrefix(bad), /is no prefix/);
  assert.throws(() => checkTopology({ ...TOPOLOGY, hosts: ['host-1'] }), /stack-b is on host-2, which is not among/);
  assert.throws(() => checkTopology({ ...TOPOLOGY, stacks: [A!, A!] }), /drq-stack-a-router is used twice/);
});

test('only stacks of the same VNI are expected', () => {
  const stacks = [A!, B!, { ...C!, vni: 7 }];
  assert.deepEqual(
    stacks.map((stack) => expectedPeers({ ...TOPOLOGY, stacks }, stack)),
    [1, 1, 0],
  );
});

test('variables: the shell gives, the place decides, the stack has the last word', () => {
  const topology = quickstartTopology('drq', { LOG_LEVEL: 'debug', STACK_ID: 'from-the-shell', HOST_IP: '1.2.3.4' });
  const stack = { ...A!, environment: { discovery: { VNI: '7' }, router: { VXLAN_PORT: '5000' } } };
  const discovery = daemonEnvironment(topology, stack, 'discovery');
  assert.deepEqual(
    [discovery.LOG_LEVEL, discovery.STACK_ID, discovery.HOST_IP, discovery.VNI, discovery.VXLAN_PORT],
    ['debug', 'stack-a', '10.77.0.1', '7', undefined],
  );
  const router = daemonEnvironment(topology, stack, 'router');
  assert.equal(router.VXLAN_PORT, '5000');
  assert.equal(router.UNDERLAY_HANDLE, '/run/netns/drq-host-1');
  assert.equal(router.STATE_DIR, discovery.STATE_DIR);
  assert.notEqual(router.HEALTH_FILE, discovery.HEALTH_FILE);
});

test('discovery is on the host network, the router in the stack', () => {
  assert.equal(daemonNamespace(TOPOLOGY, B!, 'discovery'), 'drq-host-2');
  assert.equal(daemonNamespace(TOPOLOGY, B!, 'router'), 'drq-stack-b-router');
});

test('a process is known by its start time, whatever its name looks like', () => {
  const stat = (name: string) =>
    `42 (${name}) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 11 0 987654 1091772416 13104\n`;
  for (const name of ['node', 'a) R (b', 'with space']) {
    assert.deepEqual(parseStat(stat(name)), { state: 'S', startTime: '987654' });
  }
});

test('health files are read as the container health check reads them', () => {
  assert.equal(unhealthy('ok 1234 2 remote subnets\n'), undefined);
  assert.equal(unhealthy('unhealthy 1234 no default route\n'), 'no default route');
  assert.equal(unhealthy(''), 'is starting');
  assert.equal(routedSubnets('ok 1234 2 remote subnets\n'), 2);
  assert.equal(routedSubnets('starting 1234 waiting\n'), 0);
});

test('a peer counts once it is active and has a subnet', () => {
  const peer = (stack_id: string, changes: object) => ({
    stack_id,
    host_ip: '10.77.0.2',
    vni: 1000,
    last_seen: '2024-01-15T10:30:00Z',
    status: 'active',
    subnets: ['172.31.0.0/24'],
    instance: '0123456789abcdef',
    since: 1,
    source: 'multicast',
    ...changes,
  });
  const file = {
    version: 1,
    last_update: '2024-01-15T10:30:00Z',
    self: { ...peer('stack-a', {}), boot: 1 },
    peers: [peer('b', {}), peer('c', { subnets: [] }), peer('d', { status: 'rejected' })],
  };
  assert.equal(activePeers(JSON.stringify(file)), 1);
  assert.equal(activePeers('{"version":1,'), 0);
});

test('every ordered pair, once', () => {
  assert.deepEqual(
    PATHS.map(({ from, to }) => `${from.stack} ${to.stack}`),
    ['stack-a stack-b', 'stack-a stack-c', 'stack-b stack-a', 'stack-b stack-c', 'stack-c stack-a', 'stack-c stack-b'],
  );
});

test('a path counts only when the right stack answered', () => {
  const printed = { server: 'stack-b', seenAs: '172.30.0.4', roundTripMs: 0.1, bitsPerSecond: 1 };
  assert.equal(outcomeOf(JSON.stringify(printed), 'stack-b').ok, true);
  assert.deepEqual(outcomeOf(JSON.stringify(printed), 'stack-c'), { ok: false, error: 'stack-b answered instead' });
  assert.deepEqual(outcomeOf('{"error":"connect ECONNREFUSED 172.31.0.4:7080"}', 'stack-b'), {
    ok: false,
    error: 'connection refused: nothing listens there',
  });
  assert.equal(outcomeOf('', 'stack-b').ok, false);
});

test('numbers have three digits that mean something', () => {
  assert.deepEqual([0.0834, 0.25, 3.4567, 42.42].map(formatMs), ['0.083 ms', '0.250 ms', '3.46 ms', '42.4 ms']);
  assert.deepEqual([9.806e9, 11.26e9, 742.4e6, 5.678e6].map(formatRate), [
    '9.81 Gbit/s',
    '11.3 Gbit/s',
    '742 Mbit/s',
    '5.68 Mbit/s',
  ]);
});

test('the table', () => {
  const table = new PathTable(PATHS);
  assert.deepEqual(
    [table.header(), table.row(PATHS[0]!, OK), table.row(PATHS[1]!, FAILED)],
    [
      '  FROM      TO        ADDRESS                     ROUND TRIP    THROUGHPUT',
      '  stack-a   stack-b   172.31.0.4   across hosts     0.123 ms   9.81 Gbit/s',
      '  stack-a   stack-c   172.29.0.4   same host      FAILED: no answer',
    ],
  );
  assert.equal(verdict([OK, FAILED, OK]), 'connected: 2/3 paths');
});

test('what failed is blamed on the stack that all failures share, if there is one', () => {
  const results = (broken: (from: string, to: string) => boolean) =>
    PATHS.map((path) => ({ path, outcome: broken(path.from.stack, path.to.stack) ? FAILED : OK }));
  const around = results((from, to) => from === 'stack-b' || to === 'stack-b');
  assert.deepEqual(concerned(around), ['stack-b']);
  assert.deepEqual(concerned(results(() => true)), ['stack-a', 'stack-b', 'stack-c']);
  assert.deepEqual(concerned(results(() => false)), []);
  const text = failureLines(around, ['the router of stack-b: has ended'], [{ path: '/logs/x.log', lines: ['last'] }]);
  assert.match(text.join('\n'), /stack-a does not reach stack-b at 172\.31\.0\.4: no answer/);
  assert.match(text.join('\n'), /the router of stack-b: has ended\n\nLast lines of \/logs\/x\.log:\n {2}last$/);
});

test('every hint is a command, and names only what exists', () => {
  const lines = hintLines(TOPOLOGY, PATHS[0]!, { volume: '/v', logs: '/l' });
  const named = lines.flatMap((line) => line.match(/drq-[a-z0-9-]+/g) ?? []);
  assert.ok(named.length > 0 && named.every((name) => namespaceNames(TOPOLOGY).includes(name)));
});

test('options', () => {
  assert.deepEqual(readOptions(['--keep'], {}), { command: 'run', keep: true, embedded: false, prefix: 'drq' });
  assert.equal(readOptions(['--down'], { QUICKSTART_PREFIX: 'other' }).prefix, 'other');
  assert.throws(() => readOptions(['--down', '--keep'], {}), /--down stands alone/);
  assert.throws(() => readOptions(['--frobnicate'], {}), /no such option/);
});

test('base images of a Dockerfile, with build arguments as given; its own stages are none', () => {
  const text = `ARG BASE_IMAGE=node:24-slim
ARG PACKAGES=apt
FROM $BASE_IMAGE AS packages-apt
FROM --platform=linux/amd64 debian:13 AS packages-none
FROM packages-$PACKAGES
`;
  for (const dockerfile of [text, text.replaceAll(/\$(\w+)/g, '$${$1}')]) {
    assert.deepEqual(baseImages(dockerfile), ['node:24-slim', 'debian:13']);
    assert.deepEqual(baseImages(dockerfile, { BASE_IMAGE: 'mine' }), ['mine', 'debian:13']);
  }
});

test('a step off the terminal is one line with a mark, a label and a time', async () => {
  let text = '';
  const progress = new Progress({ write: (chunk) => (text += chunk) });
  await progress.step(
    'doing it',
    async () => 1,
    (result) => `did it ${result} time`,
  );
  await assert.rejects(progress.step('failing', () => Promise.reject(new Error('no'))));
  assert.match(text, /^ {2}✓ did it 1 time {2}\d+\.\d s\n {2}✗ failing {2}\d+\.\d s\n$/);
});
