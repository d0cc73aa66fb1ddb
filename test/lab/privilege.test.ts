/** Each thing that the containers are given, taken away from a real one: what then does not work, and what it says. docs/security.md names these tests. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, inHost, ok, useLab } from '../support/lab.ts';
import { compose, down, execIn, inContainer, type Stack, up, writeStack } from '../support/stacks.ts';

let stack: Stack;
useLab(1, async () => {
  stack = await writeStack('own', 1, { net: '172.27.0', env: { ANNOUNCE_INTERVAL: '1s', PEER_TIMEOUT: '30s' } });
  await up(stack);
});

const STATE = '/var/lib/docker-router';
const DISCOVERY = ['--user', '10001:10001', '--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
const ROUTER = ['--read-only', '--cap-drop', 'ALL', '--cap-add', 'NET_ADMIN', '--security-opt', 'no-new-privileges'];

/** Starts a container that ends with the test. */
async function start(t: TestContext, name: string, ...words: string[]): Promise<void> {
  t.after(async () => {
    await inHost(1, 'docker', 'rm', '-f', '-v', name);
    await inHost(1, 'docker', 'volume', 'rm', '-f', name);
  });
  await ok(1, 'docker', 'run', '-d', '--name', name, ...words);
}
const said = async (name: string) => {
  const { stdout, stderr } = await inHost(1, 'docker', 'logs', name);
  return stdout + stderr;
};
const says = (name: string, pattern: RegExp) => eventually(30, async () => assert.match(await said(name), pattern));
const discovery = (id: string, ...words: string[]) => [
  ...DISCOVERY,
  ...[
    '-v',
    `${id}:${STATE}`,
    '-e',
    `STACK_ID=${id}`,
    '-e',
    'VNI=1000',
    '-e',
    'ANNOUNCE_INTERVAL=1s',
    ...words,
    'docker-router-discovery',
  ],
];
const known = async () => {
  const file = await execIn(stack, 'web', 'cat', '/shared/discovery.json');
  return (JSON.parse(file).peers as { stack_id: string }[]).map(({ stack_id }) => stack_id);
};

test("discovery without the host's network: nobody hears it", async (t) => {
  await start(t, 'inside', '--network', 'own_default', ...discovery('inside'));
  await says('inside', /announcing inside/);
  await start(t, 'outside', '--network', 'host', ...discovery('outside'));
  // Started later and heard: the first had its time.
  await eventually(30, async () => assert.ok((await known()).includes('outside')));
  assert.ok(!(await known()).includes('inside'));
});

test('with the shared volume read-only, or without it, both end and say so', async () => {
  const cannot = /cannot write in \/var\/lib\/docker-router\.\n.*Is the volume mounted read-only \(:ro\)\?/;
  for (const [image, words] of [
    ['docker-router-discovery', ['--network', 'host', ...DISCOVERY, '-e', 'STACK_ID=fixed', '-e', 'VNI=1000']],
    ['docker-router', ['--network', 'own_default', ...ROUTER, '-e', 'GATEWAY=off']],
  ] as const)
    for (const volume of [[], ['-v', `own_docker-router:${STATE}:ro`]]) {
      const { code, stdout, stderr } = await inHost(1, 'docker', 'run', '--rm', ...volume, ...words, image);
      assert.notEqual(code, 0);
      assert.match(stdout + stderr, cannot, `${image} ${volume}`);
    }
});

test('discovery without a volume for its identity ends and says what to mount', async () => {
  const identity = ['-e', 'IDENTITY_DIR=/var/lib/docker-router-identity', '-v', `own_docker-router:${STATE}`];
  const words = ['--network', 'host', ...DISCOVERY, ...identity, '-e', 'STACK_ID=nobody', '-e', 'VNI=1000'];
  const { code, stdout, stderr } = await inHost(1, 'docker', 'run', '--rm', ...words, 'docker-router-discovery');
  assert.equal(code, 78, stdout + stderr);
  assert.match(stdout + stderr, /mount a volume there that user 10001 owns, of this stack's discovery alone/);
});

/** Ports at which something listens on the host; UDP below the ephemeral ones, which belong to questions that wait for an answer. */
async function hostPorts(): Promise<string[]> {
  const rows = async (flag: string) => (await ok(1, 'ss', '-Hn', flag)).split('\n').filter(Boolean);
  const tcp = (await rows('-lt')).map((row) => `tcp ${row.trim().split(/\s+/)[3]}`);
  const udp = (await rows('-lu')).map((row) => `udp ${row.trim().split(/\s+/)[3]}`);
  return [...tcp, ...udp.filter((row) => Number(row.split(':').at(-1)) < 32_768)].filter(
    (row) => !/ \[|:(68|22)$/.test(row),
  );
}

test('what listens on a host: the group and the tunnel; etcd and dns add nothing, gossip its port and the one of Serf', async (t) => {
  const before = (await hostPorts()).sort();
  assert.deepEqual(before, ['udp 0.0.0.0:4789', 'udp 239.1.1.1:4790']);
  const modes = {
    etcd: ['-e', 'ETCD_ENDPOINTS=http://10.77.0.254:2379'],
    dns: ['-e', 'DNS_DOMAIN=stacks.test', '-e', 'DNS_SERVERS=10.77.0.254'],
    gossip: ['-e', 'GOSSIP_SEEDS=10.77.0.254'],
  };
  for (const [mode, words] of Object.entries(modes)) {
    await start(t, mode, '--network', 'host', ...discovery(mode, '-e', `DISCOVERY_MODE=${mode}`, ...words));
    await says(mode, new RegExp(`announcing ${mode}`));
    if (mode !== 'gossip') {
      await sleep(1500);
      assert.deepEqual((await hostPorts()).sort(), before, mode);
    }
  }
  await eventually(20, async () => {
    const more = (await hostPorts()).filter((port) => !before.includes(port)).sort();
    assert.deepEqual(
      more.map((port) => port.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:PORT')),
      ['tcp 10.77.0.1:7946', 'tcp 127.0.0.1:PORT', 'udp 10.77.0.1:7946'],
    );
  });
});

test("the handle of the host's network cannot be entered, and without NET_ADMIN it is good for nothing", async () => {
  const tries = [
    ['nsenter', '--net=/run/netns/underlay', 'true'],
    ['ip', 'netns', 'exec', 'underlay', 'true'],
    ['ip', '-n', 'underlay', 'link', 'show'],
  ];
  for (const words of tries) {
    const { code, stderr } = await inContainer(stack, 'router', ...words);
    assert.notEqual(code, 0, words.join(' '));
    assert.match(stderr, /not permitted|denied/i, words.join(' '));
  }
  const make = 'ip link add t0 link-netns underlay type vxlan id 9 dstport 4999';
  const handle = ['-v', '/proc/1/ns/net:/run/netns/underlay:ro', '--entrypoint', 'sh', 'docker-router', '-c', make];
  const without = await inHost(1, 'docker', 'run', '--rm', '--cap-drop', 'ALL', ...handle);
  assert.match(without.stderr, /not permitted/);
  await ok(1, 'docker', 'run', '--rm', '--cap-drop', 'ALL', '--cap-add', 'NET_ADMIN', ...handle);
});

test('the router writes in its volume and in memory, and nowhere else', async () => {
  for (const path of ['/x', '/etc/x', '/usr/x', '/root/x'])
    assert.notEqual((await inContainer(stack, 'router', 'sh', '-c', `echo x > ${path}`)).code, 0, path);
  for (const path of [`${STATE}/x`, '/dev/shm/x'])
    await execIn(stack, 'router', 'sh', '-c', `echo x > ${path} && rm ${path}`);
});

test('ENCRYPTION without WireGuard in the kernel and without /dev/net/tun: the router ends and names the line', async () => {
  const words = ['-v', `own_docker-router:${STATE}`, '-e', 'ENCRYPTION=required', 'docker-router'];
  const { code, stdout, stderr } = await inHost(1, 'docker', 'run', '--rm', ...ROUTER, ...words);
  // A kernel that has WireGuard needs no device; ours has none.
  assert.equal(code, 78, stdout + stderr);
  assert.match(stdout + stderr, /devices: \[\/dev\/net\/tun\]/);
});

test('without METRICS_PORT and with NAMES=off nothing of the router is open to the stack but the answers to other routers', async (t) => {
  const quiet = await writeStack('quiet', 1, { net: '172.26.0', router: 'environment: { NAMES: "off" }\n' });
  t.after(() => down(quiet));
  await compose(quiet, 'up', '-d', '--wait', '--wait-timeout', '90');
  const open = async (protocol: 'tcp' | 'udp', state: string) => {
    const text = await execIn(quiet, 'router', 'cat', `/proc/net/${protocol}`);
    const rows = text.split('\n').map((line) => line.trim().split(/\s+/));
    // 127.0.0.11 is Docker's.
    return rows
      .filter((row) => row[3] === state && !row[1]!.startsWith('0B00007F'))
      .map((row) => row[1]!.split(':')[1]);
  };
  assert.deepEqual(await open('tcp', '0A'), []);
  assert.deepEqual(await open('udp', '07'), [(4788).toString(16).toUpperCase()]);
});
