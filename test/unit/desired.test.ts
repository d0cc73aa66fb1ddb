import assert from 'node:assert/strict';
import { test } from 'node:test';
import { candidatePorts, incompatible } from '../../src/desired/device.ts';
import { desiredOverlay } from '../../src/desired/overlay.ts';
import { desiredTables, type RulesetInput, replaceTable } from '../../src/desired/ruleset.ts';
import { stackFacts } from '../../src/desired/stack-facts.ts';
import { parsePrefix } from '../../src/net/ipv4.ts';
import { gatewayPlan } from '../../src/router/gateway.ts';
import { freshRouter } from '../support/kernels.ts';
import { record } from '../support/records.ts';

const AUTO = { gateway: 'auto', upstreamGateway: 'auto', remembered: undefined } as const;

test('the gateway address is what Docker gave the containers as default route', () => {
  const facts = stackFacts(freshRouter(), AUTO);
  assert.deepEqual(facts.gateway, { address: '172.30.0.2', device: 'eth0', upstream: '172.30.0.1' });
  assert.deepEqual(facts.problems, []);
});

test('a network without the steering line is a problem that names the line', () => {
  const routes = [{ destination: 'default', via: '172.30.0.1', device: 'eth0', protocol: 'boot', metric: 0 }];
  const facts = stackFacts(freshRouter({ routes }), AUTO);
  assert.equal(facts.gateway, undefined);
  assert.match(facts.problems[0]!.message, /aux_addresses: \{DefaultGatewayIPv4: 172\.30\.0\.2\}/);
});

test('after a restart of the process the gateway is known from its own address, or from the last router.json', () => {
  const routes = [{ destination: 'default', via: '172.30.0.1', device: 'eth0', protocol: '157', metric: 0 }];
  const labelled = [
    ...freshRouter().addresses,
    { device: 'eth0', address: '172.30.0.2', length: 32, label: 'eth0:gw' },
  ];
  assert.equal(stackFacts(freshRouter({ routes, addresses: labelled }), AUTO).gateway?.address, '172.30.0.2');
  assert.equal(
    stackFacts(freshRouter({ routes }), { ...AUTO, remembered: '172.30.0.2' }).gateway?.address,
    '172.30.0.2',
  );
  assert.equal(stackFacts(freshRouter({ routes }), { ...AUTO, remembered: '10.0.0.1' }).gateway, undefined);
});

test('becoming the gateway is three lines, and none the second time', () => {
  const gateway = stackFacts(freshRouter(), AUTO).gateway!;
  assert.deepEqual(gatewayPlan(gateway, freshRouter()), [
    'link set dev eth0 address 02:47:ac:1e:00:02',
    'address add 172.30.0.2/32 dev eth0 label eth0:gw',
    'route replace default via 172.30.0.1 dev eth0 proto 157',
  ]);
  const done = freshRouter({
    links: [{ name: 'eth0', mac: '02:47:ac:1e:00:02', mtu: 1500, up: true }],
    addresses: [...freshRouter().addresses, { device: 'eth0', address: '172.30.0.2', length: 32, label: 'eth0:gw' }],
    routes: [{ destination: 'default', via: '172.30.0.1', device: 'eth0', protocol: '157', metric: 0 }],
  });
  assert.deepEqual(gatewayPlan(gateway, done), []);
});

test('the overlay as seen from stack-1', () => {
  const { tables, elements, lengths } = desiredOverlay([
    record(2),
    record(3, { vxlan_port: 4791, subnets: ['10.100.3.0/24', '10.7.0.0/16'] }),
    record(4, { subnets: [] }),
  ]);
  assert.deepEqual(
    [...tables.routes],
    [
      ['10.100.2.0/24', '10.100.2.2'],
      ['10.100.3.0/24', '10.100.3.2'],
      ['10.7.0.0/16', '10.100.3.2'],
    ],
  );
  assert.deepEqual([...tables.flood], ['192.168.0.2:4789', '192.168.0.3:4791']);
  assert.deepEqual([...tables.neighbours.keys()], ['10.100.2.2', '10.100.3.2']);
  assert.deepEqual(lengths, [16, 24]);
  assert.deepEqual([...elements.get('nexthops_24')!], ['10.100.2.0 : 10.100.2.2', '10.100.3.0 : 10.100.3.2']);
  assert.deepEqual([...elements.get('nexthops_16')!], ['10.7.0.0 : 10.100.3.2']);
  assert.deepEqual([...elements.get('sources_16')!], [`${record(3).vtep_mac} . 10.7.0.0`]);
});

const INPUT: RulesetInput = {
  stack: [{ name: 'eth0', prefix: parsePrefix('172.30.0.0/24')! }],
  ownAddresses: ['172.30.0.2', '172.30.0.3'],
  overlayMtu: 1450,
  lengths: [16, 24],
  fast: true,
  masquerade: true,
  vni: 1000,
};
const text = (input: RulesetInput) =>
  desiredTables(input)
    .map((table) => replaceTable(table, new Map()))
    .join('')
    .replaceAll(/ comment "[0-9a-f]{12}"/g, '');

test('the rules, as nft reads them', () => {
  assert.equal(
    text(INPUT),
    `add table netdev docker_router
delete table netdev docker_router
table netdev docker_router {
  map nexthops_16 { type ipv4_addr : ipv4_addr; }
  set sources_16 { type ether_addr . ipv4_addr; counter; }
  set subnets_16 { type ipv4_addr; }
  map nexthops_24 { type ipv4_addr : ipv4_addr; }
  set sources_24 { type ether_addr . ipv4_addr; counter; }
  set subnets_24 { type ipv4_addr; }
  chain to_overlay_16 {
    tcp flags & (syn | rst) == syn tcp option maxseg size set 1410
    ip frag-off & 0x3fff != 0 accept
    meta l4proto != tcp meta length > 1450 accept
    fwd ip to ip daddr & 255.255.0.0 map @nexthops_16 device "vxlan0"
  }
  chain to_overlay_24 {
    tcp flags & (syn | rst) == syn tcp option maxseg size set 1410
    ip frag-off & 0x3fff != 0 accept
    meta l4proto != tcp meta length > 1450 accept
    fwd ip to ip daddr & 255.255.255.0 map @nexthops_24 device "vxlan0"
  }
  chain deliver {
    ip daddr { 172.30.0.2, 172.30.0.3 } accept
    tcp flags & (syn | rst) == syn tcp option maxseg size set 1410
    ip daddr 172.30.0.0/24 fwd ip to ip daddr device "eth0"
  }
  chain from_stack_0 {
    type filter hook ingress device "eth0" priority filter; policy accept;
    meta pkttype host ip saddr 172.30.0.0/24 ip daddr & 255.255.0.0 @subnets_16 goto to_overlay_16
    meta pkttype host ip saddr 172.30.0.0/24 ip daddr & 255.255.255.0 @subnets_24 goto to_overlay_24
    ip saddr & 255.255.0.0 @subnets_16 drop
    ip saddr & 255.255.255.0 @subnets_24 drop
    ip daddr != { 172.30.0.2, 172.30.0.3 } ip protocol udp @th,64,64 0x080000000003e800 drop
  }
  chain from_overlay {
    type filter hook ingress device "vxlan0" priority filter; policy drop;
    ether saddr . ip saddr & 255.255.0.0 @sources_16 goto deliver
    ether saddr . ip saddr & 255.255.255.0 @sources_24 goto deliver
  }
  chain from_self {
    type filter hook ingress device "self1" priority filter; policy drop;
    ip daddr & 255.255.0.0 @subnets_16 meta mark set 0 fwd ip to ip daddr & 255.255.0.0 map @nexthops_16 device "vxlan0"
    ip daddr & 255.255.255.0 @subnets_24 meta mark set 0 fwd ip to ip daddr & 255.255.255.0 map @nexthops_24 device "vxlan0"
  }
}
add table ip docker_router
delete table ip docker_router
table ip docker_router {
  chain output {
    type filter hook output priority filter; policy accept;
    icmp type redirect drop
  }
  chain input {
    type filter hook input priority filter; policy accept;
    icmp type redirect drop
  }
  chain own {
    type route hook output priority mangle; policy accept;
    oifname "vxlan0" meta mark set 157
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "eth0" ip saddr 172.30.0.0/24 ip daddr != 172.30.0.0/24 tcp flags & (fin | syn | rst | ack) == syn masquerade
    oifname "eth0" ip saddr 172.30.0.0/24 ip daddr != 172.30.0.0/24 meta l4proto != tcp masquerade
  }
}
`,
  );
});

test('without ingress forwarding the source check stays and nothing is sent on from the hook', () => {
  const slow = text({ ...INPUT, fast: false });
  assert.doesNotMatch(slow, /\bfwd\b/);
  assert.match(slow, /policy drop;\n {4}ether saddr \. ip saddr & 255\.255\.0\.0 @sources_16 goto deliver/);
  assert.match(slow, /ip daddr 172\.30\.0\.0\/24 accept/);
});

test('no device yet: no chains that would need it', () => {
  assert.doesNotMatch(text({ ...INPUT, overlayMtu: undefined }), /vxlan0/);
});

test('an existing device is kept, adjusted or replaced with a reason', () => {
  const want = { vni: 1000, mac: '02:00:00:00:00:01', mtu: 1450, underlay: 'host', local: '10.0.0.1' } as const;
  const link = (vxlan: object) => ({
    name: 'vxlan0',
    mac: want.mac,
    mtu: 1450,
    up: true,
    vxlan: {
      vni: 1000,
      port: 4789,
      local: '10.0.0.1',
      learning: false,
      udp_csum: true,
      foreignUnderlay: true,
      ...vxlan,
    },
  });
  assert.equal(incompatible(link({}), want, 'auto'), undefined);
  assert.equal(incompatible(link({ port: 4791 }), want, 'auto'), undefined);
  assert.match(incompatible(link({ port: 4791 }), want, 4789)!, /UDP port is 4791, wanted 4789/);
  assert.match(incompatible(link({ vni: 5 }), want, 'auto')!, /VNI is 5, wanted 1000/);
  assert.match(incompatible(link({ local: '10.0.0.9' }), want, 'auto')!, /local address/);
  assert.match(incompatible(link({ foreignUnderlay: false }), want, 'auto')!, /underlay is published/);
  assert.match(incompatible(link({ learning: true }), want, 'auto')!, /learns/);
});

test('VXLAN ports: the remembered one first, never the one of discovery', () => {
  assert.deepEqual(candidatePorts('auto', undefined, 4790).slice(0, 3), [4789, 4791, 4792]);
  assert.deepEqual(candidatePorts('auto', 4795, 4790).slice(0, 3), [4795, 4789, 4791]);
  assert.deepEqual(candidatePorts(5000, 4795, 4790), [5000]);
});
