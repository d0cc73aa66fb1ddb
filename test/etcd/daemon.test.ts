/** The discovery daemon with etcd, alone and beside multicast: discovery.json, health and log, as a user sees them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { vtepMac } from '../../src/net/mac.ts';
import { until } from '../conformance/lab.ts';
import { HOST_IP, inPrivateNetwork } from '../conformance/network.ts';
import { nobodyReads } from '../support/listening.ts';
import { Authority } from './certificates.ts';
import { DaemonProcess } from './daemon-process.ts';
import { EtcdCluster, installEtcd } from './server.ts';

installEtcd();
await inPrivateNetwork(import.meta.url);

const FAST = { ETCD_LEASE_TTL: '5s', ANNOUNCE_INTERVAL: '1s', PEER_TIMEOUT: '3s' };
let cluster: EtcdCluster;
const running: DaemonProcess[] = [];
before(async () => {
  cluster = await EtcdCluster.start(1);
});
after(() => cluster?.stop());
afterEach(async () => {
  await Promise.all(running.splice(0).map((daemon) => daemon.stop()));
});

function daemon(stackId: string, modes: string, env: NodeJS.ProcessEnv = {}): DaemonProcess {
  const endpoints = { ETCD_ENDPOINTS: cluster.urls.join(',') };
  const it = new DaemonProcess(stackId, { DISCOVERY_MODE: modes, ...endpoints, ...FAST, ...env }).start();
  running.push(it);
  return it;
}

const healthy = (it: DaemonProcess) => it.until('is healthy', () => it.health.startsWith('ok'));

async function restartEtcd(): Promise<void> {
  cluster.members[0]!.start();
  await cluster.healthy();
}

/** Takes multicast away from this network namespace, or gives it back. */
function multicast(state: 'off' | 'on'): void {
  const chain = '{ chain out { type filter hook output priority 0; ip daddr 239.1.1.1 drop; }; }';
  const command = state === 'off' ? `table ip no_multicast ${chain}` : 'delete table ip no_multicast';
  const { status, stderr } = spawnSync('nft', [command], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

test('etcd away: unhealthy, the peers stay and are stale, and the file says since when; back: all is well by itself', async () => {
  const [a, b] = [daemon('stack-a', 'etcd'), daemon('stack-b', 'etcd')];
  await a.until('a sees b', () => a.peer('stack-b')?.status === 'active');
  await healthy(a);
  // The health file is written at once, discovery.json a moment later.
  await a.until('the file says so', () => a.file?.sources?.etcd?.state === 'ok');
  const began = Date.now();
  await cluster.members[0]!.kill();
  await a.until('the source fails', () => a.file?.sources?.etcd?.state === 'failing');
  const { since, message } = a.file!.sources!.etcd!;
  assert.ok(Math.abs(Date.parse(since) - began) < 15_000);
  assert.match(message ?? '', /nothing listens there; is etcd running/);
  // Each file in its own time.
  await a.until('health says so', () => /^unhealthy etcd: .*nothing listens/.test(a.health));
  await a.until('b is stale', () => a.peer('stack-b')?.status === 'stale');
  await sleep(7000);
  assert.equal(a.peer('stack-b')?.status, 'stale', 'it stays for longer than its lease');
  assert.equal(a.file?.sources?.etcd?.since, since, 'and says since when');
  await restartEtcd();
  await a.until('b is active again', () => a.peer('stack-b')?.status === 'active');
  await healthy(a);
  await healthy(b);
});

test('last_seen goes on while etcd vouches for a peer that has nothing new to say', async () => {
  const [a] = [daemon('stack-a', 'etcd'), daemon('stack-b', 'etcd')];
  await a.until('a sees b', () => a.peer('stack-b')?.status === 'active');
  const first = Date.parse(a.peer('stack-b')!.last_seen);
  await sleep(2500);
  // Any write of the file shows it: a third stack is a reason for one.
  daemon('stack-c', 'etcd');
  await a.until('a sees c', () => a.peer('stack-c')?.status === 'active');
  assert.ok(Date.parse(a.peer('stack-b')!.last_seen) - first >= 2000);
});

test('a clean stop takes the key away and ends with status 0', async () => {
  const [a, b] = [daemon('stack-a', 'etcd'), daemon('stack-b', 'etcd')];
  await a.until('a sees b', () => a.peer('stack-b')?.status === 'active');
  assert.equal(await b.stop(), 0);
  await a.until('b is gone', () => a.file?.peers.length === 0, 2000);
  assert.match(a.log, /peer stack-b left/);
});

test('user and password from a file, TLS from files, no secret in the log', async () => {
  const authority = new Authority('daemon CA');
  const server = authority.issue('server', 'IP:127.0.0.1');
  const secure = await EtcdCluster.start(1, { tls: { ...server, ca: authority.ca } });
  try {
    await secure.ctl(['user', 'add', 'root:hunter2']);
    await secure.ctl(['user', 'grant-role', 'root', 'root']);
    await secure.ctl(['auth', 'enable']);
    const login = {
      ETCD_ENDPOINTS: secure.urls.join(','),
      ETCD_CA_FILE: authority.ca,
      ETCD_USERNAME: 'root',
      ETCD_PASSWORD_FILE: authority.file('password', 'hunter2\n'),
      LOG_LEVEL: 'debug',
    };
    const [a, b] = [daemon('stack-a', 'etcd', login), daemon('stack-b', 'etcd', login)];
    await a.until('a sees b', () => a.peer('stack-b')?.status === 'active');
    await healthy(b);
    const wrong = daemon('stack-w', 'etcd', { ...login, ETCD_PASSWORD_FILE: authority.file('wrong', 'hunter3') });
    await wrong.until('unhealthy', () => /^unhealthy etcd: wrong ETCD_USERNAME or ETCD_PASSWORD/.test(wrong.health));
    for (const it of [a, b, wrong]) assert.doesNotMatch(`${it.log}${JSON.stringify(it.file)}`, /hunter/);
  } finally {
    await Promise.all(running.splice(0).map((it) => it.stop()));
    await secure.stop();
  }
});

test("on the wire to etcd nothing of a sealed record can be read but its stack's id, and everything of one in clear", () =>
  nobodyReads({
    env: () => ({ DISCOVERY_MODE: 'etcd', ETCD_ENDPOINTS: cluster.urls.join(','), ...FAST }),
    hosts: ['10.99.0.11', '10.99.0.12', '10.99.0.13', '10.99.0.14'],
    filter: 'tcp',
    open: ['stack_id'],
  }));

test('a wrong configuration: every problem at once, exit status 78, no secret shown', async () => {
  const it = daemon('stack-a', 'etcd', {
    ETCD_ENDPOINTS: 'http://user:hunter2@10.0.0.1:2379',
    ETCD_PASSWORD: 'hunter2',
    ETCD_LEASE_TTL: '1s',
    ETCD_CA_FILE: '/nowhere/ca.crt',
    ETCD_CERT_FILE: '/nowhere/client.crt',
    ETCD_PREFIX: 'a b',
  });
  assert.equal(await it.ended(), 78);
  for (const name of ['ENDPOINTS', 'USERNAME', 'LEASE_TTL', 'CA_FILE', 'CERT_FILE', 'PREFIX']) {
    assert.match(it.log, new RegExp(`- .*ETCD_${name}`));
  }
  assert.doesNotMatch(it.log, /hunter|at .*\.ts/);
});

test('multicast,etcd: one peer per stack; what either source loses the other still has', async () => {
  // Stale is who is late by half an interval, and b shall be active all the time: a busy machine is late by more than half a second.
  const patient = { PEER_TIMEOUT: '15s', ANNOUNCE_INTERVAL: '5s' };
  const both = ['stack-a', 'stack-b'].map((id) => daemon(id, 'multicast,etcd', patient));
  const [a, b] = both as [DaemonProcess, DaemonProcess];
  // One that only etcd shows, and one that only multicast shows.
  const [onlyEtcd, onlyMulticast] = [daemon('stack-e', 'etcd'), daemon('stack-m', 'multicast', patient)];
  const others = () => (a.file?.peers ?? []).map(({ stack_id, status }) => `${stack_id} ${status}`).join(', ');
  await a.until('all see all', () => others() === 'stack-b active, stack-e active, stack-m active');
  await onlyEtcd.until('e sees two', () => onlyEtcd.file?.peers.length === 2);
  await onlyMulticast.until('m sees two', () => onlyMulticast.file?.peers.length === 2);

  const statuses = new Set<string>();
  const monitor = setInterval(() => statuses.add(a.peer('stack-b')?.status ?? 'missing'), 20);
  try {
    await cluster.members[0]!.kill();
    await a.until('what only etcd showed is stale', () => others() === 'stack-b active, stack-e stale, stack-m active');
    await a.until('health says so', () => a.health.startsWith('unhealthy etcd: '));
    // A change that only multicast can carry, and then etcd comes back with the older one.
    b.writeRouter(plane('stack-b', 4790 + 1));
    await a.until('the change arrives', () => a.peer('stack-b')?.vxlan_endpoint?.endsWith(':4791') === true);
    await restartEtcd();
    await a.until('all is well', () => others() === 'stack-b active, stack-e active, stack-m active');

    multicast('off');
    try {
      await a.until('what only multicast showed is gone', () => others() === 'stack-b active, stack-e active');
      b.writeRouter(plane('stack-b', 4792));
      await a.until('etcd carries it', () => a.peer('stack-b')?.vxlan_endpoint?.endsWith(':4792') === true);
      assert.equal(a.peer('stack-b')?.source, 'etcd');
    } finally {
      multicast('on');
    }
    await a.until('all is well again', () => others() === 'stack-b active, stack-e active, stack-m active');
    await healthy(a);
  } finally {
    clearInterval(monitor);
  }
  assert.deepEqual([...statuses], ['active'], 'b was active all the time');
  assert.equal(await b.stop(), 0);
  await a.until('b is gone', () => a.peer('stack-b') === undefined, 2000);
});

/** Waits until the group has heard so many announcements of the stack. */
async function announcements(count: number, isOf: (datagram: Buffer) => boolean): Promise<void> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  let heard = 0;
  socket.on('message', (datagram) => {
    if (isOf(datagram)) heard += 1;
  });
  try {
    await new Promise<void>((resolve) => socket.bind(4790, '239.1.1.1', resolve));
    socket.addMembership('239.1.1.1', HOST_IP);
    const soon = () => heard >= count;
    await until(soon, 20_000, `${count} announcements`, () => heard);
  } finally {
    socket.close();
  }
}

test('without keys it says at start, once, what that means; with keys it does not', async () => {
  const keys = { DISCOVERY_KEYS: Buffer.alloc(32, 7).toString('base64') };
  const [bare, sealed] = [daemon('stack-a', 'multicast,etcd'), daemon('stack-k', 'multicast,etcd', keys)];
  const isClear = (datagram: Buffer) => datagram[0] === 0x7b;
  await Promise.all([
    announcements(5, (datagram) => isClear(datagram) && datagram.includes('"announce"')),
    announcements(5, (datagram) => !isClear(datagram)),
  ]);
  // A change, which is announced at once, and a peer that it hears.
  bare.writeRouter(plane('stack-a', 4789));
  daemon('stack-b', 'multicast');
  await bare.until('a hears b', () => bare.peer('stack-b')?.status === 'active');
  await announcements(2, isClear);
  const warnings = ({ log }: DaemonProcess) => log.match(/no DISCOVERY_KEYS\b.*/g) ?? [];
  assert.equal(warnings(bare).length, 1, bare.log);
  assert.match(warnings(bare)[0]!, /whoever reaches this network can read the announcements and announce a stack/);
  assert.deepEqual(warnings(sealed), []);
});

function plane(stack_id: string, vxlan_port: number) {
  const addresses = { subnets: ['172.31.0.0/24'], gateway_ip: '172.31.0.2', vtep_mac: vtepMac(stack_id) };
  return { version: 1, last_update: '2024-01-15T10:30:00Z', stack_id, ...addresses, vxlan_port };
}
