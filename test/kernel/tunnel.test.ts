/** The encrypted path against a real kernel, with wireguard-go where it has no WireGuard: one namespace that looks like a router's. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, test } from 'node:test';
import { readRouterConfig } from '../../src/config/router-config.ts';
import { activeSlot, renewalOffset } from '../../src/desired/key-turns.ts';
import { encryptable, otherSlot } from '../../src/desired/tunnel.ts';
import { createTunnel, deleteTunnel, newKeys, observeTunnels } from '../../src/kernel/wireguard.ts';
import { run, runOk } from '../../src/process/run.ts';
import type { StackRecord } from '../../src/record/record.ts';
import type { DiscoveryInput } from '../../src/router/discovery-input.ts';
import { type Pass, reconcile, type Surroundings } from '../../src/router/reconcile.ts';
import { Tunnel } from '../../src/router/tunnel.ts';
import { inOwnNamespace } from '../support/own-namespace.ts';
import { record } from '../support/records.ts';

inOwnNamespace(import.meta.url);

const CONFIG = readRouterConfig({ UNDERLAY: 'published', ENCRYPTION: 'required', WG_KEY_LIFETIME: '1h' });
const HALF_MS = CONFIG.keyLifetimeMs / 2;
/** Just after the slots changed places, so that no test meets a renewal that it does not want. */
const START = Math.floor(Date.now() / HALF_MS) * HALF_MS;
const clock = { now: 0, monotonic: () => clock.now, wall: () => START + clock.now };
const ip = (line: string) => runOk(['ip', ...line.split(' ')]);
const entry = (r: StackRecord) =>
  ({ ...r, last_seen: '2024-01-15T10:30:00Z', status: 'active', source: 'multicast' }) as const;
const self = record(1, { stack_id: 'stack-a', subnets: [] });
const REMEMBERED = { port: undefined, gateway: undefined };
function input(records: StackRecord[]): DiscoveryInput {
  const known = records.map(entry);
  const { peers } = encryptable(known, 'required');
  return { self: { ...entry(self), boot: self.boot }, peers, known, dropped: [] };
}
let around: Surroundings;
const pass = (records: StackRecord[], config = CONFIG): Promise<Pass> =>
  reconcile(config, around, REMEMBERED, input(records));
async function keyed(n: number, changes: Partial<StackRecord> = {}): Promise<StackRecord> {
  const [active, other] = [await newKeys(), await newKeys()];
  const keys = { wg_public_key: active.publicKey, wg_other_public_key: other.publicKey };
  return record(n, { ...keys, wg_port: 51_820, wg_other_port: 51_821, ...changes });
}
const open = async (config = CONFIG) => {
  const tunnel = await Tunnel.open(config, clock, 'published');
  around = { underlay: 'published', fast: true, masquerade: false, tunnel };
};
const peersOf = async (device: string) => (await observeTunnels()).get(device)!.peers;
const refused = async (address: string) =>
  assert.match((await run(['ip', 'route', 'get', address])).stderr, /No route to host|Network is unreachable/);

before(async () => {
  // What the kernel sends of itself (router solicitations) would be counted as leaving by eth0.
  await run(['sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1']);
  await ip('link set lo up');
  await ip('link add eth0 type veth peer name bridge0');
  for (const device of ['eth0', 'bridge0']) await ip(`link set ${device} up`);
  await ip('address add 172.30.0.3/24 dev eth0');
  await ip('route add default via 172.30.0.2 dev eth0');
  await open();
});
after(() => Promise.all(['wg0', 'wg1'].map(deleteTunnel)));

test('required: without discovery.json it is no gateway yet', async () => {
  const first = await reconcile(CONFIG, around, REMEMBERED, undefined);
  assert.equal(first.changed > 0 && (await ip('address show eth0')).includes('172.30.0.2'), false);
});

test('a peer is programmed in both slots, its subnet leads into the one it wants; a second pass is empty; there is no VXLAN', async () => {
  const peer = await keyed(2, { wg_slot: 1, wg_port: 51_821, wg_other_port: 51_820 });
  const first = await pass([peer]);
  assert.deepEqual(first.problems, []);
  assert.equal(first.device?.mtu, 1440);
  const devices = await observeTunnels();
  const { announced } = first.tunnel!;
  const active = announced.wg_slot ?? 0;
  assert.equal(announced.wg_public_key, devices.get(`wg${active}`)?.publicKey);
  assert.deepEqual(
    [announced.wg_other_public_key, announced.wg_other_port],
    [devices.get(`wg${1 - active}`)?.publicKey, 51_821 - active],
  );
  const programmed = { allowedIps: '10.100.2.0/24', handshake: 0 };
  assert.deepEqual(devices.get('wg1')?.peers.get(peer.wg_public_key!), {
    ...programmed,
    endpoint: `${peer.host_ip}:51821`,
  });
  assert.deepEqual(devices.get('wg0')?.peers.get(peer.wg_other_public_key!), {
    ...programmed,
    endpoint: `${peer.host_ip}:51820`,
  });
  assert.match(await ip('route get 10.100.2.7'), /dev wg1 src 172\.30\.0\./);
  assert.notEqual((await run(['ip', 'link', 'show', 'vxlan0'])).code, 0);
  const second = await pass([peer]);
  assert.deepEqual([second.changed, second.notes, second.problems], [0, [], []]);
});

test('a peer that wants the other slot is moved in place', async () => {
  const peer = await keyed(2);
  await pass([peer]);
  assert.match(await ip('route get 10.100.2.7'), /dev wg0/);
  const moved: StackRecord = {
    ...peer,
    wg_slot: 1,
    wg_public_key: peer.wg_other_public_key,
    wg_other_public_key: peer.wg_public_key,
  };
  const { problems } = await pass([{ ...moved, wg_port: 51_821, wg_other_port: 51_820 }]);
  assert.deepEqual(problems, []);
  assert.match(await ip('route get 10.100.2.7'), /dev wg1/);
  assert.equal((await ip('route show 10.100.2.0/24 proto 157')).trim().split('\n').length, 1);
});

test('a peer without a key is not programmed, and its subnet is refused instead of following the default route', async () => {
  const bare = record(3);
  const result = await pass([await keyed(2), bare]);
  assert.equal(result.routed, 1);
  assert.match(
    encryptable([entry(bare)], 'required').refused[0]!,
    /stack-3: it has no WireGuard key.*ENCRYPTION=wireguard/,
  );
  await refused('10.100.3.7');
  // It stays refused when the stack is gone, and so does that of one that had a key.
  await pass([]);
  for (const address of ['10.100.2.7', '10.100.3.7']) await refused(address);
});

test('what is for a stack leaves by no other way, not even with WireGuard gone and the routes taken off', async () => {
  const peer = await keyed(2);
  await pass([peer]);
  await ip('link set wg0 down');
  await refused('10.100.2.7');
  await ip('route del unreachable 10.100.2.0/24 metric 4000000000');
  const count = async () => JSON.parse(await ip('-j -s link show dev eth0'))[0].stats64.tx.packets as number;
  await ip('neigh replace 172.30.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent');
  const before = await count();
  const send = `require('dgram').createSocket('udp4').send('known payload', 4789, '10.100.2.7', () => process.exit(0))`;
  await run([process.execPath, '-e', send]);
  assert.equal(await count(), before);
  await runOk(['nft', 'delete', 'table', 'ip', 'docker_router']);
  await run([process.execPath, '-e', send]);
  assert.ok((await count()) > before, 'without the guard it leaves: the guard is what keeps it');
  const healed = await pass([peer]);
  assert.deepEqual(healed.problems, []);
  assert.match(await ip('route get 10.100.2.7'), /dev wg0/);
  assert.match(await ip('route show'), /unreachable 10\.100\.2\.0\/24/);
});

test('ENCRYPTION=wireguard: what is for a peer is refused while WireGuard is gone, and free again when the peer is', async () => {
  const config = { ...CONFIG, encryption: 'wireguard' } as const;
  await open(config);
  const peer = await keyed(5);
  await pass([peer], config);
  await ip('link set wg0 down');
  await ip('link set wg1 down');
  await refused('10.100.5.7');
  await pass([peer], config);
  assert.match(await ip('route get 10.100.5.7'), /dev wg0/);
  await pass([], config);
  assert.match(await ip('route get 10.100.5.7'), /dev eth0/);
  await open();
});

test('WireGuard that dies comes back with its key; a process that dies finds its devices again', async () => {
  const peer = await keyed(2);
  const { announced } = (await pass([peer])).tunnel!;
  await deleteTunnel('wg0');
  const back = await pass([peer]);
  assert.deepEqual(back.tunnel?.announced, announced);
  assert.match(back.notes.join(), /created wg0 .*its key kept/);
  assert.match(await runOk(['nft', 'list', 'table', 'netdev', 'docker_router']), /device "wg0"/);
  await open();
  const adopted = await pass([peer]);
  assert.deepEqual([adopted.tunnel?.announced, adopted.notes, adopted.changed], [announced, [], 0]);
});

test('the slot that rests gets a new key in its turn, the other one is left alone; then they change places', async () => {
  const peer = await keyed(2);
  const old = (await pass([peer])).tunnel!.announced;
  const resting = otherSlot(activeSlot(clock.wall(), CONFIG.keyLifetimeMs));
  clock.now = renewalOffset('stack-a', CONFIG.keyLifetimeMs) + 1;
  // One pass to send nothing by it any more, one for the key.
  const quiet = await pass([{ ...peer, ...(resting === 1 && { wg_slot: 1 }) }]);
  assert.deepEqual(quiet.tunnel?.announced, old);
  assert.match(await ip('route get 10.100.2.7'), new RegExp(`dev wg${1 - resting}`));
  const renewed = await pass([peer]);
  const { announced } = renewed.tunnel!;
  assert.match(renewed.notes.join(), new RegExp(`key of wg${resting} renewed`));
  assert.notEqual(announced.wg_other_public_key, old.wg_other_public_key);
  assert.deepEqual({ ...announced, wg_other_public_key: '' }, { ...old, wg_other_public_key: '' });
  assert.equal((await peersOf(`wg${resting}`)).size, 1);
  assert.deepEqual((await pass([peer])).tunnel?.announced, announced);
  clock.now = HALF_MS;
  const changed = (await pass([peer])).tunnel!.announced;
  assert.equal(changed.wg_public_key, announced.wg_other_public_key);
  assert.equal(changed.wg_other_public_key, announced.wg_public_key);
  clock.now = 0;
});

test("a peer's new key takes the old one's place in its slot", async () => {
  const before = await keyed(4);
  const renewed: StackRecord = { ...before, wg_other_public_key: (await newKeys()).publicKey };
  await pass([before]);
  await pass([renewed]);
  assert.deepEqual([...(await peersOf('wg0')).keys()], [before.wg_public_key]);
  const peers = await peersOf('wg1');
  assert.deepEqual([...peers.keys()], [renewed.wg_other_public_key]);
  assert.equal(peers.get(renewed.wg_other_public_key!)?.allowedIps, '10.100.4.0/24');
  await pass([]);
  for (const device of ['wg0', 'wg1']) assert.equal((await peersOf(device)).size, 0);
});

const SCHED_BATCH = '3';

/** The scheduling policy of every thread of the wireguard-go behind `device`, in this namespace. */
async function policies(device: string): Promise<string[]> {
  const here = await readlink('/proc/self/ns/net');
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (words !== `wireguard-go\0${device}\0` || (await readlink(`/proc/${pid}/ns/net`)) !== here) continue;
    const threads = await readdir(`/proc/${pid}/task`);
    const stats = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8')));
    // Field 41 of proc_pid_stat(5); the third is the first behind the name.
    return stats.map((stat) => stat.slice(stat.lastIndexOf(')') + 2).split(' ')[41 - 3]!);
  }
  return [];
}

/** Those of a new device's threads. */
async function policiesOfNew(): Promise<Set<string>> {
  const device = `batch${process.pid % 10_000}`;
  const { privateKey } = await newKeys();
  const port = await createTunnel(
    { name: device, engine: 'wireguard-go', underlay: undefined, privateKey, mtu: 1440 },
    [51_840],
  );
  try {
    assert.equal(port, 51_840);
    assert.match(await ip(`link show dev ${device}`), /mtu 1440/);
    const found = await policies(device);
    assert.ok(found.length > 1, 'wireguard-go has several threads');
    return new Set(found);
  } finally {
    await deleteTunnel(device);
  }
}

test('wireguard-go runs as a batch process, every thread of it', async () => {
  assert.deepEqual(await policiesOfNew(), new Set([SCHED_BATCH]));
});

test('wireguard-go runs without chrt, or with one that is refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'docker-router-path-'));
  const path = process.env.PATH!;
  const normal = new Set(['0']);
  try {
    for (const tool of ['env', 'ip', 'wg', 'wireguard-go'])
      await symlink((await runOk(['which', tool])).trim(), join(folder, tool));
    process.env.PATH = folder;
    await assert.rejects(run(['chrt', '--version']), /ENOENT/);
    assert.deepEqual(await policiesOfNew(), normal);
    const refusal = `#!/bin/sh\necho "chrt: failed to set pid 0's policy: Operation not permitted" >&2\nexit 1\n`;
    await writeFile(join(folder, 'chrt'), refusal, { mode: 0o755 });
    process.env.PATH = `${folder}${delimiter}${path}`;
    assert.deepEqual(await policiesOfNew(), normal);
  } finally {
    process.env.PATH = path;
    await rm(folder, { recursive: true });
  }
});

const SEND = `const [, ...sources] = process.argv; let left = 5;
  const sockets = sources.map((source) => { const s = require('dgram').createSocket('udp4'); s.bind(0, source); s.on('error', (e) => { console.error(e.message); process.exit(1); }); return s; });
  setInterval(() => { if (left-- === 0) process.exit(0); for (const s of sockets) s.send('hello', 9999, '172.30.0.3'); }, 100);`;
const SOURCES = { announced: '10.100.2.7', 'of another stack': '10.100.3.7', 'of nobody': '10.9.9.9' };

/** A stack with WireGuard of its own, in a namespace of its own, that can send from whatever address it likes. */
async function stranger(own: { publicKey: string; port: number }) {
  const holder: ChildProcess = spawn('unshare', ['--net', 'sleep', '600']);
  const inside = (argv: string[], text = '') =>
    runOk(['nsenter', `--net=/proc/${holder.pid}/ns/net`, ...argv] as [string, ...string[]], text);
  const line = (text: string) => inside(['ip', ...text.split(' ')]);
  while (
    (await run(['readlink', `/proc/${holder.pid}/ns/net`])).stdout ===
    (await run(['readlink', '/proc/self/ns/net'])).stdout
  )
    await new Promise((resolve) => setTimeout(resolve, 20));
  await ip(`link add under0 type veth peer name under1 netns ${holder.pid}`);
  await ip('address add 10.77.9.1/24 dev under0');
  await ip('link set under0 up');
  for (const text of ['link set lo up', 'address add 10.77.9.2/24 dev under1', 'link set under1 up']) await line(text);
  for (const source of Object.values(SOURCES)) await line(`address add ${source}/32 dev lo`);
  const keys = await newKeys();
  const device = `peer${process.pid % 10_000}`;
  if (
    (await run(['nsenter', `--net=/proc/${holder.pid}/ns/net`, 'ip', 'link', 'add', device, 'type', 'wireguard']))
      .code !== 0
  )
    await inside(['wireguard-go', device]);
  const config = `[Interface]\nPrivateKey = ${keys.privateKey}\nListenPort = 51820\n[Peer]\nPublicKey = ${own.publicKey}\nAllowedIPs = 172.30.0.0/24\nEndpoint = 10.77.9.1:${own.port}\n`;
  const path = `/dev/shm/${device}`;
  await writeFile(path, config, { mode: 0o600 });
  await inside(['wg', 'setconf', device, path]);
  await runOk(['rm', path]);
  await line(`link set ${device} mtu 1440 up`);
  await line(`route add 172.30.0.0/24 dev ${device}`);
  const send = () => inside([process.execPath, '-e', SEND, ...Object.values(SOURCES)]);
  const end = async () => {
    await line(`link delete ${device}`);
    holder.kill('SIGKILL');
  };
  return { publicKey: keys.publicKey, send, end };
}

test('a packet comes in only from its own stack: WireGuard compares the source with the key, nftables with what anybody announced', async () => {
  const { announced } = (await pass([])).tunnel!;
  const slots = [
    { publicKey: announced.wg_public_key!, port: announced.wg_port! },
    { publicKey: announced.wg_other_public_key!, port: announced.wg_other_port! },
  ];
  const peer = await stranger(slots[announced.wg_slot ?? 0]!);
  const heard = new Set<string>();
  const socket = createSocket('udp4', (_text, { address }) => heard.add(address));
  try {
    for (const name of ['all', 'wg0']) await runOk(['sysctl', '-qw', `net.ipv4.conf.${name}.rp_filter=0`]);
    await new Promise<void>((resolve) => socket.bind(9999, '172.30.0.3', resolve));
    const records = [
      record(2, { host_ip: '10.77.9.2', wg_public_key: peer.publicKey, wg_port: 51_820 }),
      await keyed(3),
    ];
    assert.deepEqual((await pass(records)).problems, []);
    /** Whose datagrams arrive. Those that must are waited for: a handshake comes first, and takes its time on a busy machine. */
    const arrived = async (wanted: number) => {
      heard.clear();
      await peer.send();
      for (let tries = 0; tries < 100 && heard.size < wanted; tries += 1)
        await new Promise((resolve) => setTimeout(resolve, 100));
      await new Promise((resolve) => setTimeout(resolve, 200));
      return Object.entries(SOURCES).flatMap(([name, source]) => (heard.has(source) ? [name] : []));
    };
    assert.deepEqual(await arrived(1), ['announced']);
    const all = Object.values(SOURCES).map((source) => `${source}/32`);
    await runOk(['wg', 'set', 'wg0', 'peer', peer.publicKey, 'allowed-ips', all.join(',')]);
    assert.deepEqual(await arrived(2), ['announced', 'of another stack'], 'WireGuard alone keeps it out');
    await runOk(['nft', 'delete', 'table', 'netdev', 'docker_router']);
    assert.deepEqual(await arrived(3), Object.keys(SOURCES), 'nftables alone keeps it out');
    assert.deepEqual((await pass(records)).problems, []);
    assert.deepEqual(await arrived(1), ['announced']);
  } finally {
    socket.close();
    await peer.end();
  }
});
