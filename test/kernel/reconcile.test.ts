/** The whole router side of the data flow against a real kernel: one namespace that looks like a router's container. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { before, test } from 'node:test';
import { readRouterConfig } from '../../src/config/router-config.ts';
import { vtepMac } from '../../src/net/mac.ts';
import { runOk } from '../../src/process/run.ts';
import type { StackRecord } from '../../src/record/record.ts';
import type { DiscoveryInput } from '../../src/router/discovery-input.ts';
import { type Pass, reconcile } from '../../src/router/reconcile.ts';
import { inOwnNamespace } from '../support/own-namespace.ts';
import { record } from '../support/records.ts';

inOwnNamespace(import.meta.url);

const CONFIG = readRouterConfig({ UNDERLAY: 'published' });
const AROUND = { underlay: 'published', fast: true, masquerade: true } as const;
const entry = (r: StackRecord) =>
  ({ ...r, last_seen: '2024-01-15T10:30:00Z', status: 'active', source: 'multicast' }) as const;
const input = (peers: StackRecord[], self = record(1, { stack_id: 'stack-a', subnets: [] })): DiscoveryInput => ({
  self: { ...entry(self), boot: self.boot },
  peers: peers.map(entry),
  dropped: [],
});
const pass = (peers: StackRecord[], self?: StackRecord): Promise<Pass> =>
  reconcile(CONFIG, AROUND, { port: undefined, gateway: undefined }, input(peers, self));
const ip = (line: string) => runOk(['ip', ...line.split(' ')]);
const bridge = (line: string) => runOk(['bridge', ...line.split(' ')]);
/** A pass that changes something is followed by one that does not: what was applied is what is desired. */
async function settles(peers: StackRecord[], self?: StackRecord): Promise<Pass> {
  const first = await pass(peers, self);
  const second = await pass(peers, self);
  assert.deepEqual(
    { changed: second.changed, problems: second.problems, notes: second.notes },
    { changed: 0, problems: [], notes: [] },
  );
  return first;
}

before(async () => {
  await ip('link set lo up');
  await ip('link add eth0 type veth peer name bridge0');
  for (const device of ['eth0', 'bridge0']) await ip(`link set ${device} up`);
  await ip('address add 172.30.0.3/24 dev eth0');
  await ip('route add default via 172.30.0.2 dev eth0');
});

/** Counts what the router's neighbours on the bridge would see. */
const TELLS = `table netdev seen {
  chain gateway {
    counter
  }
  chain own {
    counter
  }
  chain arrivals {
    type filter hook ingress device "bridge0" priority filter;
    ether daddr ff:ff:ff:ff:ff:ff arp operation request arp saddr ether 02:47:ac:1e:00:02 arp saddr ip vmap { 172.30.0.2 : jump gateway, 172.30.0.3 : jump own }
  }
}
`;

test('from a fresh container: gateway, device, one peer; the second pass is empty', async () => {
  await runOk(['nft', '-f', '-'], TELLS);
  const first = await settles([record(2)]);
  const told = (chain: string) => runOk(['nft', 'list', 'chain', 'netdev', 'seen', chain]);
  assert.match(await told('gateway'), /packets [1-9]/, 'whoever waits for the gateway is told that it is there');
  assert.match(await told('own'), /packets [1-9]/, "whoever knows the container's own address is told its new MAC");
  await runOk(['nft', 'delete', 'table', 'netdev', 'seen']);
  assert.equal(first.gatewayIp, '172.30.0.2');
  assert.deepEqual(first.subnets, ['172.30.0.0/24']);
  assert.equal(first.device?.mac, vtepMac('stack-a'));
  assert.equal(first.device?.mtu, 1450);
  assert.match(await ip('route get 10.100.2.7'), /via 10\.100\.2\.2 dev vxlan0/);
  assert.match(await ip('route show default'), /via 172\.30\.0\.1 dev eth0 proto 157/);
  assert.match(await bridge('fdb show dev vxlan0'), new RegExp(`${vtepMac('stack-2')} dst 192.168.0.2`));
});

test('before discovery has spoken to it, a process leaves what the one before it has programmed', async () => {
  await settles([record(2)]);
  const speechless = await reconcile(CONFIG, AROUND, { port: 4789, gateway: '172.30.0.2' }, undefined);
  assert.equal(speechless.changed, 0);
  assert.match(await ip('route get 10.100.2.7'), /via 10\.100\.2\.2 dev vxlan0/);
  assert.equal((await pass([])).routed, 0, 'what discovery says counts at once');
  assert.doesNotMatch(await ip('route get 10.100.2.7'), /vxlan0/);
});

const offload = async () => /^tx-checksumming: (on|off)/m.exec(await runOk(['ethtool', '-k', 'vxlan0']))?.[1];

test('published underlay: transmit checksum offload is on, until a stack of this host is behind a proxy in user space', async () => {
  await settles([record(2)]);
  assert.match(await ip('-d link show vxlan0'), /noudp_?csum/);
  assert.equal(await offload(), 'on');
  const here = input([record(2), record(3)]);
  const peers = here.peers.map((peer, index) => (index === 1 ? { ...peer, this_host: true as const } : peer));
  const again = () => reconcile(CONFIG, AROUND, { port: undefined, gateway: undefined }, { ...here, peers });
  assert.match((await again()).notes.join(), /offload of vxlan0 is off/);
  assert.equal(await offload(), 'off');
  await runOk(['ethtool', '-K', 'vxlan0', 'tx', 'on']);
  await again();
  assert.equal(await offload(), 'off', 'switched on by hand');
  await settles([record(2)]);
  assert.equal(await offload(), 'on');
});

test('a device whose outer checksums are filled in never gets the offload: NAT would spoil them', async () => {
  const [mac] = /02:[0-9a-f:]+/.exec(await ip('link show vxlan0'))!;
  await ip('link delete vxlan0');
  await ip(`link add vxlan0 address ${mac} mtu 1450 type vxlan id 1000 dstport 4789 nolearning udpcsum`);
  await pass([record(2)]);
  assert.equal(await offload(), 'off');
  await ip('link delete vxlan0');
  await settles([record(2)]);
});

test('entries deleted or altered by hand are repaired, nothing else is rewritten', async () => {
  const peers = [record(2), record(3)];
  await settles(peers);
  const mac = vtepMac('stack-2');
  const damages: (() => Promise<unknown>)[] = [
    () => ip('route del 10.100.2.0/24'),
    () => ip('neigh del 10.100.2.2 dev vxlan0'),
    () => ip('neigh replace 10.100.2.2 lladdr 02:de:ad:be:ef:00 dev vxlan0 nud permanent'),
    () => bridge(`fdb del ${mac} dev vxlan0`),
    () => bridge(`fdb replace ${mac} dev vxlan0 dst 192.168.9.9 port 4789 self permanent`),
    () => bridge('fdb del 00:00:00:00:00:00 dev vxlan0 dst 192.168.0.2'),
    () => ip('route change 10.100.2.0/24 via 10.100.3.2 dev vxlan0 onlink proto 157 metric 25603'),
    () => ip('route replace 10.100.2.0/24 via 172.30.0.1 dev eth0 proto 157 metric 25603'),
    () => runOk(['nft', 'delete', 'element', 'netdev', 'docker_router', 'sources_24', `{ ${mac} . 10.100.2.0 }`]),
    () => runOk(['nft', 'flush', 'chain', 'netdev', 'docker_router', 'from_overlay']),
    () => runOk(['nft', 'delete', 'table', 'ip', 'docker_router']),
    () => ip('link delete self0'),
    () => ip('link set self0 mtu 1400'),
    () => ip('link set self1 down'),
    () => ip('rule del pref 157'),
    () => ip('route del default table 157'),
    () => ip('link set vxlan0 mtu 1400'),
    () => ip('link set vxlan0 down'),
    () => ip('address del 172.30.0.2/32 dev eth0'),
    () => ip('link delete vxlan0'),
  ];
  for (const damage of damages) {
    await damage();
    const repaired = await reconcile(CONFIG, AROUND, { port: 4789, gateway: '172.30.0.2' }, input(peers));
    assert.ok(repaired.changed > 0 || repaired.notes.length > 0, String(damage));
    assert.deepEqual(repaired.problems, [], String(damage));
    await settles(peers);
  }
});

test('foreign objects in the namespace are never touched', async () => {
  await ip('route add 10.77.0.0/16 via 172.30.0.1 dev eth0');
  await ip('route add 10.78.0.0/16 via 172.30.0.9 dev eth0 proto static');
  await runOk(
    ['nft', '-f', '-'],
    'table ip nat {\n chain DOCKER_OUTPUT {\n type nat hook output priority -100\n ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:40000\n }\n}\n',
  );
  await settles([record(2)]);
  await settles([]);
  assert.match(await ip('route show'), /10\.77\.0\.0\/16 via 172\.30\.0\.1[\s\S]*10\.78\.0\.0\/16/);
  assert.match(await runOk(['nft', 'list', 'ruleset']), /DOCKER_OUTPUT/);
});

test("a peer whose subnet somebody else's route holds is named, and the others are routed", async () => {
  await ip('route add 10.100.3.0/24 via 172.30.0.1 dev eth0');
  const blocked = await pass([record(2), record(3)]);
  assert.match(
    blocked.problems.map(({ message }) => message).join(),
    /10\.100\.3\.0\/24 via 172\.30\.0\.1 dev eth0 .*ip route del/,
  );
  assert.match(await ip('route get 10.100.2.7'), /dev vxlan0/);
  assert.match(await ip('route get 10.100.3.7'), /dev eth0/);
  await ip('route del 10.100.3.0/24 via 172.30.0.1');
  await settles([record(2), record(3)]);
});

test('a bad peer is refused here too, whatever discovery said', async () => {
  const bad = [
    record(3, { subnets: ['172.30.0.0/25'], gateway_ip: '172.30.0.9' }),
    record(4, { subnets: ['0.0.0.0/0'] }),
  ];
  const result = await pass([record(2), ...bad]);
  assert.equal(result.routed, 1);
  assert.equal(result.problems.filter(({ code }) => code === 'peer-refused').length, 2);
});

test('peers that leave take all their entries with them', async () => {
  await settles([record(2), record(3)]);
  await settles([]);
  assert.equal((await ip('route show proto 157')).trim().split('\n').length, 1, 'only the default route is left');
  assert.equal((await ip('neigh show dev vxlan0 nud permanent')).trim(), '');
  assert.equal((await bridge('fdb show dev vxlan0')).trim(), '');
});

test('another VNI makes a new device, and the entries come back on it', async () => {
  const other = record(1, { stack_id: 'stack-a', subnets: [], vni: 2000 });
  const result = await settles([record(2, { vni: 2000 })], other);
  assert.match(result.notes.join(), /replacing one whose VNI is 1000, wanted 2000/);
  assert.equal(result.routed, 1);
});

test('a UDP port that another program holds is passed over', async () => {
  await ip('link delete vxlan0');
  const holder = createSocket('udp4');
  await new Promise<void>((resolve) => holder.bind(4789, resolve));
  try {
    // 4790 is Discovery's.
    assert.equal((await settles([record(2)])).device?.port, 4791);
  } finally {
    holder.close();
  }
});

test('a thousand peers come and go; one more is a handful of lines', async () => {
  const peers = Array.from({ length: 1000 }, (_, i) => record(i + 2));
  await settles(peers);
  assert.equal((await pass([...peers, record(1500)])).changed, 7);
  await settles([]);
});
