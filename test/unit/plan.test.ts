import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { desiredOverlay } from '../../src/desired/overlay.ts';
import { desiredTables } from '../../src/desired/ruleset.ts';
import { failedLines } from '../../src/kernel/apply.ts';
import { parsePrefix } from '../../src/net/ipv4.ts';
import { isEmpty, makePlan, planText } from '../../src/plan/plan.ts';
import { type freshRouter, settled } from '../support/kernels.ts';
import { record } from '../support/records.ts';

const TABLES = desiredTables({
  stack: [{ name: 'eth0', prefix: parsePrefix('172.30.0.0/24')! }],
  ownAddresses: ['172.30.0.2'],
  overlayMtu: 1450,
  lengths: [24],
  fast: true,
  masquerade: false,
});
const plan = (peers: ReturnType<typeof record>[], observed: ReturnType<typeof freshRouter>) =>
  makePlan({ overlay: desiredOverlay(peers), tables: TABLES, device: true, ownMtu: 1450 }, observed);
const after = (peers: ReturnType<typeof record>[]) => settled(desiredOverlay(peers), TABLES);

test('a settled kernel needs nothing', () => {
  assert.ok(isEmpty(plan([record(2), record(3)], after([record(2), record(3)]))));
});

test('one more peer is a handful of lines, in an order in which no packet is lost', () => {
  const mac = record(3).vtep_mac;
  assert.equal(
    planText(plan([record(2), record(3)], after([record(2)]))),
    `bridge fdb replace ${mac} dev vxlan0 dst 192.168.0.3 port 4789 self permanent
bridge fdb append 00:00:00:00:00:00 dev vxlan0 dst 192.168.0.3 port 4789 self permanent
ip neigh replace 10.100.3.2 lladdr ${mac} dev vxlan0 nud permanent
ip route add 10.100.3.0/24 via 10.100.3.2 dev vxlan0 onlink proto 157 metric 25604
nft add element netdev docker_router nexthops_24 { 10.100.3.0 : 10.100.3.2 }
nft add element netdev docker_router sources_24 { ${mac} . 10.100.3.0 }
nft add element netdev docker_router subnets_24 { 10.100.3.0 }`,
  );
});

test("the way of the router's own packets is laid once, and mended where it differs", () => {
  assert.equal(
    planText(plan([], { ...after([]), links: [], own: { rule: false, route: false } })),
    `ip link add self0 mtu 1450 arp off type veth peer name self1
ip link set self0 mtu 1450 arp off up
ip link set self1 up
ip route replace default dev self0 table 157 proto 157
ip rule add fwmark 157 lookup 157 pref 157 protocol 157`,
  );
  const smaller = makePlan({ overlay: desiredOverlay([]), tables: TABLES, device: true, ownMtu: 1400 }, after([]));
  assert.match(
    planText(smaller),
    /^ip link set self0 mtu 1400 arp off up\nip link set self1 up\nip route replace default/,
  );
});

test('a peer that left is undone, routes first', () => {
  const mac = record(3).vtep_mac;
  assert.equal(
    planText(plan([record(2)], after([record(2), record(3)]))),
    `nft delete element netdev docker_router nexthops_24 { 10.100.3.0 }
nft delete element netdev docker_router sources_24 { ${mac} . 10.100.3.0 }
nft delete element netdev docker_router subnets_24 { 10.100.3.0 }
ip route del 10.100.3.0/24 dev vxlan0 proto 157
ip neigh del 10.100.3.2 dev vxlan0
bridge fdb del ${mac} dev vxlan0 dst 192.168.0.3 port 4789 self permanent
bridge fdb del 00:00:00:00:00:00 dev vxlan0 dst 192.168.0.3 port 4789 self permanent`,
  );
});

test('a peer that moved to another host keeps its route', () => {
  const moved = planText(plan([record(2, { host_ip: '192.168.7.7' })], after([record(2)])));
  assert.match(moved, /^bridge fdb replace .* dst 192\.168\.7\.7 port 4789/);
  assert.doesNotMatch(moved, /route|neigh/);
});

test('a subnet that moved to another peer is changed in place', () => {
  const taken = record(3, { subnets: record(2).subnets });
  assert.match(planText(plan([taken], after([record(2)]))), /ip route change 10\.100\.2\.0\/24 via 10\.100\.3\.2/);
});

test('a rule that was altered or removed replaces the table, with its elements', () => {
  const observed = after([record(2)]);
  const chains = new Map(observed.netdev.chains);
  chains.set('from_overlay', []);
  const text = planText(plan([record(2)], { ...observed, netdev: { ...observed.netdev, chains } }));
  assert.match(
    text,
    /delete table netdev docker_router[\s\S]*add element netdev docker_router nexthops_24 \{ 10\.100\.2\.0 : 10\.100\.2\.2 \}/,
  );
});

test('from any set of peers to any other, the plan applied leaves nothing to plan', () => {
  const peers = fc
    .uniqueArray(fc.integer({ min: 2, max: 30 }), { maxLength: 12 })
    .map((ns) => ns.map((n) => record(n)));
  fc.assert(
    fc.property(peers, peers, (before, wanted) => {
      const step = plan(wanted, after(before));
      const same =
        JSON.stringify(before.map((r) => r.stack_id).sort()) === JSON.stringify(wanted.map((r) => r.stack_id).sort());
      assert.equal(isEmpty(step), same);
      assert.ok(isEmpty(plan(wanted, after(wanted))));
    }),
  );
});

test('failing batch lines are found by number, with the reason that stands before', () => {
  const stderr =
    'RTNETLINK answers: File exists\nCommand failed -:2\nRTNETLINK answers: No such process\nCommand failed -:3\n';
  assert.deepEqual(failedLines(['a', 'b', 'c'], stderr), [
    'b: RTNETLINK answers: File exists',
    'c: RTNETLINK answers: No such process',
  ]);
});
