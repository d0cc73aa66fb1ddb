import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readRouterConfig } from '../../src/config/router-config.ts';
import { activeSlot, dueSlot, outOfPatience, renewalOffset, turnAt, untilChange } from '../../src/desired/key-turns.ts';
import { desiredTables } from '../../src/desired/ruleset.ts';
import { announcedSlots, encryptable, sendingSlot, slotKeys, tunnelPeers } from '../../src/desired/tunnel.ts';
import { parseWgDump } from '../../src/kernel/parse-wg.ts';
import { peerPlan, sealPlan, tunnelRoutePlan } from '../../src/plan/tunnel-plan.ts';
import { parseRecord } from '../../src/record/record.ts';
import { sealable } from '../../src/router/seal.ts';
import { record } from '../support/records.ts';

const key = (n: number) => Buffer.alloc(32, n).toString('base64');
const entry = (n: number, changes = {}) =>
  ({ ...record(n, changes), last_seen: '2024-01-15T10:30:00Z', status: 'active', source: 'multicast' }) as const;
const KEYS = (n: number) => ({
  wg_public_key: key(n),
  wg_port: 51_820,
  wg_other_public_key: key(n + 100),
  wg_other_port: 51_821,
});
const keyed = (n: number, changes = {}) => entry(n, { ...KEYS(n), ...changes });

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
  for (const copied of [key(2), key(102)]) {
    const twin = keyed(6, { wg_other_public_key: copied });
    assert.match(
      encryptable([keyed(2), twin], 'required').refused.join(),
      /^stack-6: its WireGuard key is that of stack stack-2/,
    );
  }
});

test('what is announced of two slots is what is read of them, whichever is the active one', () => {
  const keys = [
    { publicKey: key(2), port: 51_820 },
    { publicKey: key(3), port: 51_821 },
  ] as const;
  for (const active of [0, 1] as const) {
    const announced = announcedSlots(keys, active);
    assert.equal(announced.wg_public_key, keys[active].publicKey);
    assert.deepEqual(slotKeys(announced), keys);
  }
  assert.deepEqual(slotKeys({ wg_public_key: key(2), wg_port: 51_820 }), [keys[0], undefined]);
});

test('by which slot a peer is sent to', () => {
  const [zero, one] = [keyed(2), keyed(2, { wg_slot: 1 })];
  const single = entry(2, { wg_public_key: key(2), wg_port: 51_820 });
  assert.equal(sendingSlot(zero, [true, true], undefined), 0, 'where it wants to be reached');
  assert.equal(sendingSlot(one, [true, true], undefined), 1);
  assert.equal(sendingSlot(one, [false, false], undefined), 1, 'there too while there is no session');
  assert.equal(sendingSlot(one, [true, false], undefined), 0, 'by the other one when that alone works');
  assert.equal(sendingSlot(zero, [true, true], 0), 1, 'not by the one whose own key is about to change');
  assert.equal(sendingSlot(zero, [true, false], 0), 0, 'unless nothing else works');
  assert.equal(sendingSlot(single, [true, false], 0), 0);
  assert.equal(sendingSlot(single, [false, false], 0), 0, 'nor by one that the peer does not have');
});

const LIFE = 24 * 3_600_000;
const anyWall = fc.integer({ min: 1_600_000_000_000, max: 1_900_000_000_000 });
const anyStack = fc.string({ minLength: 1, maxLength: 63 });

test('only the slot that rests is renewed, in the middle half of its rest, and no two stacks renew opposite slots at once', () => {
  fc.assert(
    fc.property(anyWall, anyStack, (wall, stack) => {
      const offset = renewalOffset(stack, LIFE);
      assert.ok(offset >= LIFE / 8 && offset < (LIFE / 8) * 3);
      const due = dueSlot(wall, LIFE, offset, [-1, -1]);
      if (due === undefined) return;
      assert.notEqual(due, activeSlot(wall, LIFE), 'all stacks rest the same slot at one time');
      assert.ok(wall % (LIFE / 2) >= offset);
    }),
  );
});

test('a key lives no longer than its lifetime, whenever the router started, and each is renewed once a turn', () => {
  fc.assert(
    fc.property(anyWall, anyStack, fc.integer({ min: 1000, max: LIFE / 50 }), (start, stack, step) => {
      const offset = renewalOffset(stack, LIFE);
      const made = [start, start];
      const turns: [number, number] = [turnAt(start, LIFE, offset), turnAt(start, LIFE, offset)];
      let renewals = 0;
      for (let wall = start; wall < start + 3 * LIFE; wall += step) {
        const due = dueSlot(wall, LIFE, offset, turns);
        if (due !== undefined) {
          made[due] = wall;
          turns[due] = turnAt(wall, LIFE, offset);
          renewals += 1;
        }
        for (const slot of [0, 1])
          assert.ok(wall - made[slot]! <= LIFE + step, `slot ${slot} is ${wall - made[slot]!} old`);
      }
      assert.ok(renewals >= 5 && renewals <= 7, String(renewals));
    }),
    { numRuns: 20 },
  );
});

test('a renewal waits for peers a minute, or an eighth of the half; the next look is at the next change', () => {
  const offset = LIFE / 4;
  const begin = 20_000 * LIFE + offset;
  assert.equal(outOfPatience(begin + 59_000, LIFE, offset), false);
  assert.equal(outOfPatience(begin + 60_000, LIFE, offset), true);
  assert.equal(outOfPatience(10_000_000 + 2500 + 624, 10_000, 2500), false);
  assert.equal(outOfPatience(10_000_000 + 2500 + 625, 10_000, 2500), true);
  fc.assert(
    fc.property(anyWall, (wall) => {
      const next = wall + untilChange(wall, LIFE, offset);
      const seen = (at: number) => `${activeSlot(at, LIFE)} ${turnAt(at, LIFE, offset)}`;
      assert.equal(seen(next - 1), seen(wall));
      assert.notEqual(seen(next), seen(wall));
    }),
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
  const two = keyed(2, { subnets: ['10.100.2.0/24', '10.1.0.0/16'] });
  const want = tunnelPeers([two, keyed(4), entry(5), keyed(6, { subnets: [] })], 0);
  assert.deepEqual([...want.keys()], [key(2), key(4)]);
  assert.deepEqual(
    [...tunnelPeers([two], 1)],
    [[key(102), { endpoint: '192.168.0.2:51821', allowedIps: '10.1.0.0/16,10.100.2.0/24' }]],
  );
  const { endpoint: announcedAt } = want.get(key(2))!;
  const device = (endpoint: string, allowedIps = '10.100.2.0/24,10.1.0.0/16') => ({
    privateKey: 'p',
    publicKey: key(9),
    port: 51_820,
    peers: new Map([
      [key(2), { endpoint, allowedIps, handshake: 1 }],
      [key(3), { endpoint, allowedIps: '', handshake: 1 }],
    ]),
  });
  const announced = new Map([[key(2), announcedAt]]);
  const plan = peerPlan(want, device('172.30.0.1:40000'), announced);
  assert.match(
    plan.add,
    new RegExp(`^\\[Peer\\]\nPublicKey = ${key(4).replaceAll('+', '\\+')}\nAllowedIPs = 10.100.4.0/24\n`),
  );
  assert.ok(!plan.add.includes(key(2)));
  assert.deepEqual(plan.remove, [key(3)]);
  assert.ok(peerPlan(want, device(announcedAt), new Map([[key(2), 'elsewhere:1']])).add.includes(key(2)));
  assert.ok(peerPlan(want, device(announcedAt, '10.100.2.0/24'), announced).add.includes(key(2)));
});

test('routes into WireGuard: ours are compared, nobody else is touched', () => {
  const route = (destination: string, device: string, protocol = '157') => ({
    destination,
    device,
    protocol,
    metric: 0,
  });
  const want = new Map([['10.1.0.0/24', 'wg0']]);
  assert.deepEqual(tunnelRoutePlan(want, [route('10.1.0.0/24', 'wg0')]), { add: [], remove: [] });
  const plan = tunnelRoutePlan(want, [
    route('10.1.0.0/24', 'wg1'),
    route('10.2.0.0/24', 'wg0'),
    route('10.3.0.0/24', 'wg0', 'static'),
    route('default', 'eth0'),
  ]);
  assert.match(plan.add.join(), /^route change 10\.1\.0\.0\/24 dev wg0 proto 157 metric \d+$/);
  assert.deepEqual(plan.remove, ['route del 10.2.0.0/24 dev wg0 proto 157']);
  assert.match(tunnelRoutePlan(want, [route('10.1.0.0/24', 'eth0')]).add.join(), /^route add /);
});

test('seals: of every stack ever named, never of the own network, never of what no stack may have', () => {
  const own = [{ name: 'eth0', address: '172.30.0.3', prefix: { base: 0xac1e0000, length: 24 }, mtu: 1500 }];
  const peers = [keyed(2), entry(3, { subnets: ['0.0.0.0/0', '172.30.0.0/25', '8.8.8.0/24', '10.9.0.0/24'] })];
  assert.deepEqual(sealable(peers, ['10.0.0.0/8', '172.16.0.0/12'], own), ['10.100.2.0/24', '10.9.0.0/24']);
  const there = [{ destination: '10.9.0.0/24', protocol: '158', metric: 4_000_000_000 }];
  assert.deepEqual(sealPlan(['10.8.0.0/24'], there), {
    add: ['route add unreachable 10.8.0.0/24 proto 158 metric 4000000000'],
    remove: ['route del unreachable 10.9.0.0/24 proto 158 metric 4000000000'],
  });
});

test('inside WireGuard: sources are checked at both devices, what is for a stack leaves by them alone, and nothing is of VXLAN', () => {
  const input = { stack: [], ownAddresses: [], overlayMtu: 1440, lengths: [24], fast: true, masquerade: false };
  const text = (wireguard?: string[]) => JSON.stringify(desiredTables({ ...input, wireguard }));
  const both = text(['wg0', 'wg1']);
  for (const name of ['wg0', 'wg1'])
    assert.match(
      both,
      new RegExp(
        `hook ingress device \\\\"${name}\\\\" priority filter; policy drop;","rules":\\["ip saddr & \\S+ @sources_24 goto deliver"`,
      ),
    );
  assert.match(both, /oifname != \{ \\"wg0\\", \\"wg1\\" \} ip daddr & \S+ @subnets_24 drop/);
  assert.doesNotMatch(both, /vxlan|self|nexthops/);
  assert.doesNotMatch(text(), /sealed|wg0/);
});

test('variables', () => {
  const { encryption, wgPort, keyLifetimeMs } = readRouterConfig({});
  assert.deepEqual([encryption, wgPort, keyLifetimeMs], ['off', 'auto', 86_400_000]);
  assert.throws(
    () => readRouterConfig({ ENCRYPTION: 'maybe', WG_PORT: '65535', WG_KEY_LIFETIME: '1s' }),
    /ENCRYPTION must be one of off, wireguard, required.*WG_PORT.*WG_KEY_LIFETIME/s,
  );
});
