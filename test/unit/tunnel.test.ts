import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readRouterConfig } from '../../src/config/router-config.ts';
import { desiredTables } from '../../src/desired/ruleset.ts';
import { encryptable, innerAddress, insideTunnel, tunnelPeers } from '../../src/desired/tunnel.ts';
import { parseWgDump } from '../../src/kernel/parse-wg.ts';
import { isHostAddress, parseIpv4 } from '../../src/net/ipv4.ts';
import { innerRoutePlan, peerPlan, sealPlan } from '../../src/plan/tunnel-plan.ts';
import { parseRecord } from '../../src/record/record.ts';
import { sealable } from '../../src/router/seal.ts';
import { record } from '../support/records.ts';

const key = (n: number) => Buffer.alloc(32, n).toString('base64');
const entry = (n: number, changes = {}) =>
  ({ ...record(n, changes), last_seen: '2024-01-15T10:30:00Z', status: 'active', source: 'multicast' }) as const;
const keyed = (n: number) => entry(n, { wg_public_key: key(n), wg_port: 51_820 });

test('an inner address lies in 240.0.0.0/4, is not the broadcast address, and follows from the key', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const text = Buffer.from(bytes).toString('base64');
      const address = parseIpv4(innerAddress(text))!;
      assert.ok(address >= 0xf0000001 && address < 0xff000000, innerAddress(text));
      assert.equal(innerAddress(text), innerAddress(text));
      // No host has one: a peer cannot announce it as its own.
      assert.ok(!isHostAddress(address) || address >= 0xf0000000);
    }),
  );
  const many = new Set(
    Array.from({ length: 2000 }, (_, i) => innerAddress(Buffer.from(`${i}`.padStart(32)).toString('base64'))),
  );
  assert.ok(many.size >= 1998, String(many.size));
});

test('a public key is 32 bytes of base64, whatever a record claims', () => {
  for (const text of ['', 'x', `${key(1)} `, key(1).replace('=', ''), `${key(1).slice(0, 42)}B=`, '../../etc/passwd'])
    assert.equal(parseRecord(record(1, { wg_public_key: text })).ok, false, text);
  assert.equal(parseRecord(record(1, { wg_public_key: key(1), wg_port: 51_820 })).ok, true);
});

test('with whom there is a way to speak', () => {
  const peers = [keyed(2), entry(3), entry(4, { subnets: [] }), { ...entry(5), status: 'rejected' as const }];
  const names = (mode: 'off' | 'required') => encryptable(peers, mode).peers.map(({ stack_id }) => stack_id);
  assert.deepEqual(names('required'), ['stack-2', 'stack-4', 'stack-5']);
  assert.deepEqual(names('off'), ['stack-3', 'stack-4', 'stack-5']);
  assert.match(encryptable(peers, 'required').refused.join(), /^stack-3: it has no WireGuard key/);
  assert.match(encryptable(peers, 'off').refused.join(), /^stack-2: it encrypts/);
  const twin = { ...keyed(6), wg_public_key: key(2) };
  assert.match(
    encryptable([keyed(2), twin], 'required').refused.join(),
    /^stack-6: .*same inner address .* stack stack-2/,
  );
});

test('inside, a VTEP is where its key says, and only stacks with a key are there', () => {
  const inside = insideTunnel([keyed(2), entry(3)]);
  assert.deepEqual(
    inside.map(({ host_ip }) => host_ip),
    [innerAddress(key(2))],
  );
});

const DUMP = `wg0\tPRIVATE\t${key(9)}\t51820\toff\nwg0\t${key(2)}\t(none)\t192.168.0.2:51820\t240.0.0.1/32\t1700000000\t1\t2\t25\nwg0\t${key(3)}\t(none)\t(none)\t(none)\t0\t0\t0\toff\nwg1\t(none)\t(none)\t0\toff\n`;

test('wg show all dump', () => {
  const devices = parseWgDump(DUMP);
  assert.deepEqual([...devices.keys()], ['wg0', 'wg1']);
  assert.equal(devices.get('wg0')?.port, 51_820);
  assert.equal(devices.get('wg1')?.publicKey, undefined);
  assert.deepEqual(devices.get('wg0')?.peers.get(key(2)), {
    endpoint: '192.168.0.2:51820',
    allowedIps: '240.0.0.1/32',
    handshake: 1_700_000_000,
  });
  assert.equal(devices.get('wg0')?.peers.get(key(3))?.endpoint, undefined);
  assert.deepEqual(parseWgDump(''), new Map());
});

test('a peer that is as wanted is left alone, also when it has moved; others are added, changed or removed', () => {
  const want = tunnelPeers([keyed(2), keyed(4)]);
  const two = want.get(key(2))!;
  const device = (endpoint: string) => ({
    privateKey: 'p',
    publicKey: key(9),
    port: 51_820,
    peers: new Map([
      [key(2), { endpoint, allowedIps: `${two.inner}/32`, handshake: 1 }],
      [key(3), { endpoint, allowedIps: '', handshake: 1 }],
    ]),
  });
  const announced = new Map([[key(2), two.endpoint]]);
  const plan = peerPlan(want, device('172.30.0.1:40000'), announced);
  assert.match(plan.add, new RegExp(`^\\[Peer\\]\nPublicKey = ${key(4).replaceAll('+', '\\+')}\nAllowedIPs = `));
  assert.ok(!plan.add.includes(key(2)));
  assert.deepEqual(plan.remove, [key(3)]);
  assert.ok(peerPlan(want, device(two.endpoint), new Map([[key(2), 'elsewhere:1']])).add.includes(key(2)));
});

test('routes inside: ours are compared, nobody else is touched', () => {
  const route = (destination: string, device: string, protocol = '157') => ({
    destination,
    device,
    protocol,
    metric: 0,
    source: '240.0.0.9',
  });
  const want = new Map([['240.0.0.2', { device: 'wg0', source: '240.0.0.9' }]]);
  assert.deepEqual(innerRoutePlan(want, [route('240.0.0.2/32', 'wg0')]), { add: [], remove: [] });
  assert.deepEqual(
    innerRoutePlan(want, [
      route('240.0.0.2/32', 'wg1'),
      route('240.0.0.3/32', 'wg0'),
      route('240.0.0.4/32', 'wg0', 'static'),
      route('default', 'eth0'),
    ]),
    {
      add: ['route replace 240.0.0.2/32 dev wg0 src 240.0.0.9 proto 157'],
      remove: ['route del 240.0.0.3/32 dev wg0 proto 157'],
    },
  );
});

test('seals: of every stack ever named, never of the own network, never of what no stack may have', () => {
  const own = [{ name: 'eth0', address: '172.30.0.3', prefix: { base: 0xac1e0000, length: 24 }, mtu: 1500 }];
  const peers = [keyed(2), entry(3, { subnets: ['0.0.0.0/0', '172.30.0.0/25', '8.8.8.0/24', '10.9.0.0/24'] })];
  assert.deepEqual(sealable(peers, ['10.0.0.0/8', '172.16.0.0/12'], own), ['10.100.2.0/24', '10.9.0.0/24']);
  const there = [{ destination: '10.9.0.0/24', protocol: '158', metric: 4_000_000_000 }];
  assert.deepEqual(sealPlan(['10.9.0.0/24', '10.8.0.0/24'], there, 158), [
    'route add unreachable 10.8.0.0/24 proto 158 metric 4000000000',
  ]);
});

test('the guards are there with encryption, and not without', () => {
  const input = { stack: [], ownAddresses: [], overlayMtu: 1390, lengths: [24], fast: true, masquerade: false };
  const rules = (sealedPort: number | undefined) => JSON.stringify(desiredTables({ ...input, sealedPort })[1]);
  assert.match(rules(4789), /iifname != .*udp dport 4789 drop/);
  assert.match(rules(4789), /oifname != .*ip daddr 240\.0\.0\.0\/4 drop/);
  assert.doesNotMatch(rules(undefined), /sealed|240/);
});

test('variables', () => {
  const { encryption, wgPort, keyLifetimeMs } = readRouterConfig({});
  assert.deepEqual([encryption, wgPort, keyLifetimeMs], ['off', 'auto', 86_400_000]);
  assert.throws(
    () => readRouterConfig({ ENCRYPTION: 'maybe', WG_PORT: '65535', WG_KEY_LIFETIME: '1s' }),
    /ENCRYPTION must be one of off, wireguard, required.*WG_PORT.*WG_KEY_LIFETIME/s,
  );
});
