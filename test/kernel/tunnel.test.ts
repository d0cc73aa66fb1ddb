/** The encrypted underlay against a real kernel, with wireguard-go where it has no WireGuard: one namespace that looks like a router's. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readRouterConfig } from '../../src/config/router-config.ts';
import { encryptable, innerAddress } from '../../src/desired/tunnel.ts';
import { deleteTunnel, newKeys, observeTunnels } from '../../src/kernel/wireguard.ts';
import { run, runOk } from '../../src/process/run.ts';
import type { StackRecord } from '../../src/record/record.ts';
import type { DiscoveryInput } from '../../src/router/discovery-input.ts';
import { type Pass, reconcile, type Surroundings } from '../../src/router/reconcile.ts';
import { Tunnel } from '../../src/router/tunnel.ts';
import { inOwnNamespace } from '../support/own-namespace.ts';
import { record } from '../support/records.ts';

inOwnNamespace(import.meta.url);

const CONFIG = readRouterConfig({ UNDERLAY: 'published', ENCRYPTION: 'required', WG_KEY_LIFETIME: '1h' });
const clock = { now: 0, monotonic: () => clock.now, wall: () => Date.now() };
const ip = (line: string) => runOk(['ip', ...line.split(' ')]);
const entry = (r: StackRecord) =>
  ({ ...r, last_seen: '2024-01-15T10:30:00Z', status: 'active', source: 'multicast' }) as const;
const self = record(1, { stack_id: 'stack-a', subnets: [] });
function input(records: StackRecord[]): DiscoveryInput {
  const known = records.map(entry);
  const { peers } = encryptable(known, 'required');
  return { self: { ...entry(self), boot: self.boot }, peers, known, dropped: [] };
}
let around: Surroundings;
let tunnel: Tunnel;
const pass = (records: StackRecord[]): Promise<Pass> =>
  reconcile(CONFIG, around, { port: undefined, gateway: undefined }, input(records));
async function keyed(n: number, changes: Partial<StackRecord> = {}): Promise<StackRecord> {
  return record(n, { wg_public_key: (await newKeys()).publicKey, wg_port: 51_820, ...changes });
}
const open = async (key?: string) => {
  tunnel = (await Tunnel.open(CONFIG, clock, 'published', key))!;
  around = { underlay: 'published', fast: true, masquerade: false, tunnel };
};

before(async () => {
  await ip('link set lo up');
  await ip('link add eth0 type veth peer name bridge0');
  for (const device of ['eth0', 'bridge0']) await ip(`link set ${device} up`);
  await ip('address add 172.30.0.3/24 dev eth0');
  await ip('route add default via 172.30.0.2 dev eth0');
  await open();
});
after(() => Promise.all(['wg0', 'wg1'].map(deleteTunnel)));

test('required: without discovery.json it is no gateway yet', async () => {
  const first = await reconcile(CONFIG, around, { port: undefined, gateway: undefined }, undefined);
  assert.equal(first.changed > 0 && (await ip('address show eth0')).includes('172.30.0.2'), false);
});

test('a peer with a key is programmed inside WireGuard, and a second pass is empty', async () => {
  const peer = await keyed(2);
  const first = await pass([peer]);
  assert.deepEqual(first.problems, []);
  assert.equal(first.device?.mtu, 1390);
  const inner = innerAddress(peer.wg_public_key!);
  const devices = await observeTunnels();
  assert.equal(first.tunnel?.publicKey, devices.get('wg0')?.publicKey);
  assert.deepEqual(devices.get('wg0')?.peers.get(peer.wg_public_key!), {
    endpoint: `${peer.host_ip}:51820`,
    allowedIps: `${inner}/32`,
    handshake: 0,
  });
  assert.match(await runOk(['bridge', 'fdb', 'show', 'dev', 'vxlan0']), new RegExp(`dst ${inner} self permanent`));
  assert.match(await ip(`route get ${inner}`), /dev wg0 src 2\d\d\./);
  const second = await pass([peer]);
  assert.deepEqual([second.changed, second.notes, second.problems], [0, [], []]);
});

test('a peer without a key is not programmed, and its subnet is refused instead of following the default route', async () => {
  const peer = await keyed(2);
  const bare = record(3);
  const result = await pass([peer, bare]);
  assert.equal(result.routed, 1);
  assert.match(
    encryptable([entry(bare)], 'required').refused[0]!,
    /stack-3: it has no WireGuard key.*ENCRYPTION=wireguard/,
  );
  assert.match((await run(['ip', 'route', 'get', '10.100.3.7'])).stderr, /No route to host|Network is unreachable/);
  // It stays refused when the stack is gone, and so does that of one that had a key.
  await pass([]);
  for (const address of ['10.100.2.7', '10.100.3.7'])
    assert.notEqual((await run(['ip', 'route', 'get', address])).code, 0, address);
});

test('nothing for inside WireGuard leaves by another way, not even with WireGuard gone and the route taken off', async () => {
  await pass([await keyed(2)]);
  await ip('route del unreachable 240.0.0.0/4');
  await ip('link set wg0 down');
  const count = async () => JSON.parse(await ip('-j -s link show dev eth0'))[0].stats64.tx.packets as number;
  await ip('neigh replace 172.30.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent');
  const before = await count();
  const send = `require('dgram').createSocket('udp4').send('known payload', 4789, '241.1.2.3', () => process.exit(0))`;
  await run([process.execPath, '-e', send]);
  assert.equal(await count(), before);
  await runOk(['nft', 'delete', 'table', 'ip', 'docker_router']);
  await run([process.execPath, '-e', send]);
  assert.ok((await count()) > before, 'without the guard it leaves: the guard is what keeps it');
  const healed = await pass([]);
  assert.deepEqual(healed.problems, []);
  assert.match(await ip('route show'), /unreachable 240\.0\.0\.0\/4/);
});

test('WireGuard that dies comes back with its key; a process that dies finds its devices again', async () => {
  const peer = await keyed(2);
  const key = (await pass([peer])).tunnel?.publicKey;
  await deleteTunnel('wg0');
  const back = await pass([peer]);
  assert.equal(back.tunnel?.publicKey, key);
  assert.match(back.notes.join(), /created wg0 .*its key kept/);
  await open(key);
  const adopted = await pass([peer]);
  assert.deepEqual([adopted.tunnel?.publicKey, adopted.notes, adopted.changed], [key, [], 0]);
});

test('a renewed key stands beside the old one, which goes after the grace period', async () => {
  const peer = await keyed(2);
  const old = (await pass([peer])).tunnel!;
  clock.now += 3_600_000;
  const renewed = (await pass([peer])).tunnel!;
  assert.notEqual(renewed.publicKey, old.publicKey);
  assert.notEqual(renewed.port, old.port);
  const both = await observeTunnels();
  assert.deepEqual([...both.keys()].sort(), ['wg0', 'wg1']);
  for (const device of both.values()) assert.ok(device.peers.has(peer.wg_public_key!));
  clock.now += 180_000;
  const after = await pass([peer]);
  assert.match(after.notes.join(), /wg0 removed/);
  assert.deepEqual([...(await observeTunnels()).keys()], ['wg1']);
  assert.match(await ip(`route get ${innerAddress(peer.wg_public_key!)}`), /dev wg1/);
});

test("a peer's replaced key is accepted for the grace period", async () => {
  const before = await keyed(4);
  const after = await keyed(4);
  await pass([before]);
  await pass([after]);
  const peers = async () => [...[...(await observeTunnels()).values()][0]!.peers.keys()].sort();
  assert.deepEqual(await peers(), [before.wg_public_key!, after.wg_public_key!].sort());
  clock.now += 180_001;
  await pass([after]);
  assert.deepEqual(await peers(), [after.wg_public_key!]);
  await pass([]);
  assert.deepEqual(await peers(), []);
});
