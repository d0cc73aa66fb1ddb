import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { orphans, parseContextList, stepAway, stepTo } from '../../src/contexts/docker-contexts.ts';
import { countPaths, matrixRows, pairKey, rounds } from '../../src/contexts/matrix.ts';
import { stackConflicts, stackFacts } from '../../src/contexts/stack-facts.ts';
import { missingPeers } from '../../src/contexts/stack-life.ts';
import type { Outcome } from '../../src/embedded/paths.ts';

/** What `docker compose config --format json` prints for a stack of the examples, as far as it matters. */
const config = (change: (config: ReturnType<typeof good>) => void = () => undefined) => {
  const value = good();
  change(value);
  return value;
};
const good = () => ({
  services: {
    web: { image: 'nginx:alpine', networks: { default: null } },
    finder: {
      image: 'registry.example/team/docker-router-discovery:1.0',
      environment: { STACK_ID: 'a', VNI: '1000', HOST_IP: null as string | null },
    },
    gate: {
      image: 'docker-router@sha256:00',
      networks: { other: null, default: null },
      environment: {} as Record<string, string | null>,
    },
  } as Record<string, { image: string; networks?: Record<string, null>; environment?: Record<string, string | null> }>,
  networks: {
    other: { name: 'a_other', ipam: {} },
    default: {
      name: 'a_default',
      ipam: {
        config: [
          { subnet: '172.30.0.0/24', aux_addresses: { DefaultGatewayIPv4: '172.30.0.2' } as Record<string, string> },
        ],
      },
    },
  },
});

test('the facts of a stack, whatever its services are called', () => {
  const result = stackFacts(
    config((value) => {
      value.services.gate!.environment = { VXLAN_PORT: '5000', VXLAN_MTU: '1350' };
    }),
  );
  assert.ok(result.ok);
  assert.deepEqual(result.facts, {
    stackId: 'a',
    vni: '1000',
    subnets: ['172.30.0.0/24'],
    network: 'a_default',
    routerService: 'gate',
    discoveryService: 'finder',
    hostIp: undefined,
    vxlanPort: 5000,
    vxlanMtu: 1350,
    published: false,
  });
});

test('a compose file that cannot work is told by what it lacks', () => {
  const problem = (change: (config: ReturnType<typeof good>) => void) => {
    const result = stackFacts(config(change));
    return result.ok ? 'ok' : result.problem;
  };
  assert.match(
    problem((value) => {
      delete value.services.finder;
    }),
    /docker-router-discovery/,
  );
  assert.match(
    problem((value) => {
      delete value.services.gate;
    }),
    /image docker-router$/,
  );
  assert.match(
    problem((value) => {
      value.networks.default.ipam.config[0]!.aux_addresses = {};
    }),
    /DefaultGatewayIPv4/,
  );
  assert.match(
    problem((value) => {
      value.networks.default.ipam.config[0]!.subnet = '';
    }),
    /no subnet/,
  );
  assert.match(
    problem((value) => {
      value.services.finder!.environment!.VNI = '';
    }),
    /no VNI/,
  );
  assert.equal(stackFacts(null).ok, false);
});

test('stacks in each other’s way are named at the later one', () => {
  const facts = (context: string, stackId: string, subnet: string, vni = '1000') => {
    const result = stackFacts(
      config((value) => {
        value.networks.default.ipam.config[0]!.subnet = subnet;
        Object.assign(value.services.finder!.environment!, { STACK_ID: stackId, VNI: vni });
      }),
    );
    assert.ok(result.ok);
    return { ...result.facts, context };
  };
  const one = facts('c1', 'a', '172.30.0.0/24');
  assert.deepEqual(stackConflicts([one, facts('c2', 'b', '172.31.0.0/24')]), []);
  const found = stackConflicts([one, facts('c2', 'a', '172.30.0.128/25', '2000')]);
  assert.deepEqual(
    found.map(({ context }) => context),
    ['c2', 'c2', 'c2'],
  );
  assert.match(
    found.map(({ problem }) => problem).join(),
    /STACK_ID a .* c1.*VNI is 2000.*172\.30\.0\.128\/25 overlaps 172\.30\.0\.0\/24 of c1/,
  );
});

test('every ordered pair is measured once, and nobody is in two at the same time', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 12 }), (count) => {
      const members = Array.from({ length: count }, (_, i) => i);
      const all = rounds(members);
      for (const round of all) assert.equal(new Set(round.flat()).size, round.length * 2);
      const keys = all.flat().map(([from, to]) => `${from}>${to}`);
      assert.equal(new Set(keys).size, keys.length);
      assert.equal(keys.length, count * Math.max(0, count - 1));
      assert.ok(all.flat().every(([from, to]) => from !== to));
    }),
  );
});

test('the matrix shows what was measured, what failed and what was not tested', () => {
  const ok = { ok: true, server: 'b', seenAs: '', roundTripMs: 0.4121, bitsPerSecond: 9.81e9 } as const;
  const outcomes = new Map<string, Outcome>([
    [pairKey('a', 'b'), ok],
    [pairKey('b', 'a'), { ok: false, error: 'no answer' }],
  ]);
  assert.deepEqual(matrixRows(['a', 'b', 'c'], outcomes), [
    '  FROM \\ TO   a            b                       c',
    '  a                        0.412 ms  9.81 Gbit/s   not tested',
    '  b           FAILED                               not tested',
    '  c           not tested   not tested',
  ]);
  assert.deepEqual(countPaths(['a', 'b', 'c'], outcomes), { connected: 1, all: 6 });
});

test('who is missing in discovery.json, and why', () => {
  const time = '2024-01-15T10:30:00Z';
  const entry = (stack_id: string, status: string, more: object = {}) => ({
    stack_id,
    status,
    vni: 1,
    host_ip: '10.0.0.1',
    subnets: ['172.30.0.0/24'],
    last_seen: time,
    instance: '0'.repeat(16),
    since: 1,
    source: 'multicast',
    ...more,
  });
  const peers = [
    entry('b', 'active'),
    entry('c', 'rejected', { reason: 'overlaps' }),
    entry('d', 'active', { subnets: [] }),
  ];
  const text = JSON.stringify({ version: 1, last_update: time, self: { ...entry('a', 'active'), boot: 1 }, peers });
  assert.deepEqual(missingPeers(text, ['b']), []);
  assert.deepEqual(missingPeers(text, ['b', 'c', 'd', 'e']), [
    'c is rejected: overlaps',
    'd has no router yet',
    'e is not seen',
  ]);
  assert.equal(missingPeers('{', ['b']).length, 1);
});

const wanted = { name: 'remote1', host: 'ssh://user@h', description: 'One' };
const listed = (description: string, endpoint = 'ssh://user@h', current = false) => ({
  name: 'remote1',
  description,
  endpoint,
  current,
});

test('Docker’s contexts are made, changed and removed only where they are ours', () => {
  const create = stepTo(wanted, undefined);
  assert.deepEqual('argv' in create && create.argv, [
    'docker',
    'context',
    'create',
    'remote1',
    '--description',
    'docker-router: One',
    '--docker',
    'host=ssh://user@h',
  ]);
  assert.equal(stepTo(wanted, listed('docker-router: One')).kind, 'nothing');
  assert.equal(stepTo(wanted, listed('docker-router: Two')).kind, 'update');
  assert.equal(stepTo(wanted, listed('docker-router: One', 'ssh://other')).kind, 'update');
  assert.equal(stepTo(wanted, listed('mine')).kind, 'borrowed');
  const refused = stepTo(wanted, listed('mine', 'ssh://other'));
  assert.match(refused.kind === 'refused' ? refused.why : '', /leads to ssh:\/\/other and was not made by this tool/);
  assert.equal(stepTo({ ...wanted, host: 'local' }, listed('docker-router: One')).kind, 'remove');
  assert.equal(stepTo({ ...wanted, host: 'local' }, listed('mine')).kind, 'nothing');
  assert.equal(stepAway(listed('docker-router: One')).kind, 'remove');
  assert.equal(stepAway(listed('mine')).kind, 'nothing');
  assert.equal(stepAway(listed('docker-router: One', 'ssh://user@h', true)).kind, 'refused');
  assert.equal(stepAway(undefined).kind, 'nothing');
  assert.deepEqual(orphans([listed('docker-router: One'), { ...listed('mine'), name: 'x' }], []), ['remote1']);
  assert.deepEqual(orphans([listed('docker-router: One')], ['remote1']), []);
});

test('Docker’s list of contexts', () => {
  const line =
    '{"Current":true,"Description":"Current DOCKER_HOST based configuration","DockerEndpoint":"unix:///var/run/docker.sock","Error":"","Name":"default"}';
  assert.deepEqual(parseContextList(`${line}\n`), [
    {
      name: 'default',
      description: 'Current DOCKER_HOST based configuration',
      endpoint: 'unix:///var/run/docker.sock',
      current: true,
    },
  ]);
});
