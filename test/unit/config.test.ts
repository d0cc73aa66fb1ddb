import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readDiscoveryConfig } from '../../src/config/discovery-config.ts';
import { readRouterConfig } from '../../src/config/router-config.ts';
import { ConfigError, duration } from '../../src/config/variables.ts';

function problems(action: () => unknown): readonly string[] {
  try {
    action();
  } catch (cause) {
    assert.ok(cause instanceof ConfigError, String(cause));
    return cause.problems;
  }
  return [];
}

test('the least configuration gives the published defaults', () => {
  const config = readDiscoveryConfig({ STACK_ID: 'stack-a', VNI: '1000' });
  assert.deepEqual(config.modes, ['multicast']);
  assert.deepEqual(config.multicast, { group: '239.1.1.1', port: 4790, ttl: 1, announceIntervalMs: 30_000 });
  assert.equal(config.peerTimeoutMs, 90_000);
  assert.equal(config.hostIp, 'auto');
  assert.equal(config.stateDir, '/var/lib/docker-router');
});

test('every problem is named at once, in words, with what was found', () => {
  const found = problems(() =>
    readDiscoveryConfig({
      VNI: 'many',
      STACK_ID: 'Stack A',
      HOST_IP: '127.0.0.1',
      MULTICAST_GROUP: '10.0.0.1',
      DISCOVERY_PORT: '70000',
      DISCOVERY_MODE: 'multicast,carrier-pigeon',
      ANNOUNCE_INTERVAL: 'soon',
    }),
  );
  for (const name of [
    'VNI',
    'STACK_ID',
    'HOST_IP',
    'MULTICAST_GROUP',
    'DISCOVERY_PORT',
    'DISCOVERY_MODE',
    'ANNOUNCE_INTERVAL',
  ]) {
    assert.ok(
      found.some((text) => text.startsWith(name)),
      `${name} in ${found.join(' | ')}`,
    );
  }
  assert.match(found.join('\n'), /"carrier-pigeon"|carrier-pigeon/);
});

test('missing variables are named with an example', () => {
  assert.deepEqual(
    problems(() => readDiscoveryConfig({})),
    ['STACK_ID is required, for example STACK_ID=stack-a', 'VNI is required, for example VNI=1000'],
  );
  assert.equal(problems(() => readDiscoveryConfig({ STACK_ID: '', VNI: ' ' })).length, 2);
});

test('a timeout that one lost datagram would reach is refused', () => {
  assert.match(
    problems(() => readDiscoveryConfig({ STACK_ID: 'a', VNI: '1', PEER_TIMEOUT: '30' }))[0]!,
    /PEER_TIMEOUT/,
  );
});

test('the router needs nothing and names what is malformed', () => {
  assert.deepEqual(readRouterConfig({}).underlay, 'auto');
  assert.deepEqual(
    problems(() => readRouterConfig({ UNDERLAY: 'sky', VXLAN_PORT: '0', VXLAN_MTU: '99', GATEWAY: 'on' })).length,
    4,
  );
  assert.match(problems(() => readRouterConfig({ VXLAN_PORT: '4790' }))[0]!, /must differ/);
});

test('times take a unit', () => {
  const parse = duration(0, 1e9);
  assert.deepEqual(
    ['30', '30s', '500ms', '5m', '2h', '1.5s'].map(parse),
    [30_000, 30_000, 500, 300_000, 7_200_000, 1500],
  );
});

test('no environment whatever makes the reader do anything but succeed or name problems', () => {
  const names = [
    'STACK_ID',
    'VNI',
    'HOST_IP',
    'DISCOVERY_MODE',
    'MULTICAST_GROUP',
    'DISCOVERY_PORT',
    'PEER_TIMEOUT',
    'ALLOWED_SUBNETS',
    'VXLAN_PORT',
    'UNDERLAY',
  ];
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), fc.string()), (env) => {
      problems(() => readDiscoveryConfig(env));
      problems(() => readRouterConfig(env));
    }),
  );
});
