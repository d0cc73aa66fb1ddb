/** What goes wrong in practice, on real Docker Engines: each has a message that names the remedy, and hurts nobody else. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, inHost, ok, useLab } from '../support/lab.ts';
import {
  addressOf,
  allReach,
  assertLog,
  compose,
  container,
  discoveryFile,
  down,
  exampleStack,
  execIn,
  inContainer,
  logs,
  reaches,
  routesOf,
  type Stack,
  type StackSpec,
  tryCompose,
  up,
  writeStack,
} from '../support/stacks.ts';

const TIMES = { ANNOUNCE_INTERVAL: '1s', PEER_TIMEOUT: '5s' };
const a = exampleStack('a', 1, TIMES);
const b = exampleStack('b', 2, TIMES);

useLab(2, () => Promise.all([a, b].map(up)));

/** Starts a stack that ends with the test, without waiting for its health, which is the point of most of these. */
async function start(t: TestContext, name: string, host: number, spec: StackSpec): Promise<Stack> {
  const stack = await writeStack(name, host, { ...spec, env: { ...TIMES, ...spec.env } });
  t.after(() => down(stack));
  await compose(stack, 'up', '-d');
  return stack;
}
async function startHealthy(t: TestContext, name: string, host: number, spec: StackSpec): Promise<Stack> {
  const stack = await start(t, name, host, spec);
  await up(stack);
  return stack;
}
const saysSoon = (stack: Stack, service: string, pattern: RegExp) =>
  eventually(15, async () => assertLog(await logs(stack, service), pattern));

test('two stacks with overlapping subnets: both say so by name, the earlier keeps working', async (t) => {
  const late = await start(t, 'late', 2, { net: '172.30.0', subnet: '172.30.0.0/25' });
  await saysSoon(late, 'discovery', /172\.30\.0\.0\/24 is already used by stack stack-a/);
  await saysSoon(
    a,
    'discovery',
    /peer late on 10\.77\.0\.2 rejected: subnet 172\.30\.0\.0\/25 overlaps 172\.30\.0\.0\/24 of this stack/,
  );
  await saysSoon(b, 'discovery', /peer late .* rejected: .* overlaps .* of stack stack-a/);
  await allReach([a, b], 3);
  // Host 2 now has a network of its own that overlaps the senior stack's; a discovery that looks anew must not take that for a reason.
  const before = (await discoveryFile(b)).self.boot;
  await compose(b, 'restart', 'discovery');
  await eventually(15, async () => {
    const { self, peers } = await discoveryFile(b);
    assert.notEqual(self.boot, before);
    assert.deepEqual(
      peers.map(({ stack_id, status }) => `${stack_id} ${status}`),
      ['late rejected', 'stack-a active'],
    );
  });
  await allReach([a, b], 3);
});

test('two stacks with one id: the later is rejected with a reason both logs show', async (t) => {
  const twin = await start(t, 'twin', 2, { net: '172.27.0', env: { STACK_ID: 'stack-a' } });
  await saysSoon(
    twin,
    'discovery',
    /rejected by the others: another stack with the id stack-a started earlier, on 10\.77\.0\.1/,
  );
  await saysSoon(
    a,
    'discovery',
    /peer stack-a on 10\.77\.0\.2 rejected: the stack id stack-a is already used by this stack/,
  );
  const rejected = (await discoveryFile(b)).peers.filter(({ status }) => status === 'rejected');
  assert.match(rejected[0]?.reason ?? '', /already used by stack stack-a on 10\.77\.0\.1/);
  await allReach([a, b], 3);
});

test('stacks of another VNI are kept apart, and find each other', async (t) => {
  const other = { env: { VNI: '2000' } };
  const [x, y] = await Promise.all([
    startHealthy(t, 'other-x', 1, { net: '172.26.0', ...other }),
    startHealthy(t, 'other-y', 2, { net: '172.25.0', ...other }),
  ]);
  await reaches(x, [y], 3);
  const address = await addressOf(a);
  const { code } = await inContainer(x, 'web', 'node', '/service/probe.mjs', 'get', `http://${address}/`, '1');
  assert.notEqual(code, 0, 'stack-a must not be reachable from VNI 2000');
  assert.deepEqual(await routesOf(a), ['172.31.0.0/24']);
  const seen = (await discoveryFile(a)).peers.find(({ stack_id }) => stack_id === 'other-x');
  assert.match(seen?.reason ?? '', /VNI 2000, this stack is on VNI 1000/);
});

test('without the handle the published port is used: TCP works between hosts', async (t) => {
  const spec = (net: string) => ({
    net,
    env: { UNDERLAY: 'published' },
    router: 'ports: ["4800:4800/udp"]\nenvironment: { UNDERLAY: published, VXLAN_PORT: "4800" }\n',
  });
  const [x, y] = await Promise.all([
    startHealthy(t, 'pub-x', 1, spec('172.26.0')),
    startHealthy(t, 'pub-y', 2, spec('172.25.0')),
  ]);
  await allReach([x, y], 5);
  const got = await execIn(
    x,
    'web',
    'node',
    '/service/probe.mjs',
    'get',
    `http://${await addressOf(y)}/bytes/10000000`,
    '20',
  );
  assert.equal(got, '10000000');
  await saysSoon(x, 'router', /using the published underlay .*ports: \["4789:4789\/udp"\].*\/proc\/1\/ns\/net/);
});

test('a network without the steering line is named with the line to add', async (t) => {
  const stack = await start(t, 'unsteered', 1, {
    net: '172.26.0',
    ipam: '{ subnet: 172.26.0.0/24, gateway: 172.26.0.1 }',
  });
  await saysSoon(stack, 'router', /aux_addresses: \{DefaultGatewayIPv4: 172\.26\.0\.2\}/);
});

test('a router without NET_ADMIN ends with status 78 and the line to add', async () => {
  const { code, stderr, stdout } = await inHost(
    1,
    'docker',
    'run',
    '--rm',
    '--cap-drop',
    'ALL',
    'docker-router:latest',
  );
  assert.equal(code, 78, stdout + stderr);
  assert.match(stdout + stderr, /cap_add: \[NET_ADMIN\]/);
});

test('missing and malformed variables end with status 78, all of them at once, and no stack trace', async () => {
  const { code, stdout, stderr } = await inHost(
    1,
    'docker',
    'run',
    '--rm',
    '--network',
    'host',
    '-e',
    'VNI=many',
    '-e',
    'DISCOVERY_PORT=0',
    'docker-router-discovery:latest',
  );
  assert.equal(code, 78, stdout + stderr);
  for (const expected of [/STACK_ID is required/, /VNI must be a whole number/, /DISCOVERY_PORT must be/])
    assert.match(stdout + stderr, expected);
  assert.doesNotMatch(stdout + stderr, /\n\s+at /);
});

test('`run --help` says what there is, also where the daemon could not run', async () => {
  for (const [image, variable] of [
    ['docker-router', 'UNDERLAY'],
    ['docker-router-discovery', 'STACK_ID'],
  ] as const)
    assert.match(await ok(1, 'docker', 'run', '--rm', image, 'run', '--help'), new RegExp(`^  ${variable} `, 'm'));
});

test('UNDERLAY=host without the handle names the volume to add', async () => {
  const run = [
    'docker',
    'run',
    '-d',
    '--name',
    'nohandle',
    '--network',
    'stack-a_default',
    '--cap-add',
    'NET_ADMIN',
    '-e',
    'UNDERLAY=host',
    '-e',
    'GATEWAY=off',
    '-v',
    'stack-a_docker-router:/var/lib/docker-router',
    'docker-router:latest',
  ];
  await ok(1, ...run);
  await eventually(10, async () => {
    const { stdout, stderr } = await inHost(1, 'docker', 'logs', 'nohandle');
    assertLog(stdout + stderr, /\/proc\/1\/ns\/net:\/run\/netns\/underlay:ro/);
  });
  await ok(1, 'docker', 'rm', '-f', 'nohandle');
});

test('a gateway address that another router holds is named', async () => {
  const volume = 'gwtaken';
  await ok(
    1,
    'docker',
    'run',
    '-d',
    '--name',
    volume,
    '--network',
    'stack-a_default',
    '--cap-add',
    'NET_ADMIN',
    '-v',
    `${volume}:/var/lib/docker-router`,
    'docker-router:latest',
  );
  await eventually(10, async () => {
    const { stdout, stderr } = await inHost(1, 'docker', 'logs', volume);
    assertLog(stdout + stderr, /the gateway address 172\.30\.0\.2 is already used by another container/);
  });
  await ok(1, 'docker', 'rm', '-f', volume);
  await ok(1, 'docker', 'volume', 'rm', volume);
  await allReach([a, b], 3);
});

test('no IPv4 forwarding names the sysctl', async (t) => {
  const stack = await start(t, 'nofwd', 1, {
    net: '172.26.0',
    router: 'sysctls: !override ["net.ipv4.ip_forward=0"]\n',
  });
  await saysSoon(stack, 'router', /sysctls: \[net\.ipv4\.ip_forward=1\]/);
});

test('garbage on the discovery port and in the files: one line each, and everything goes on', async () => {
  const script = `import socket, os
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(2000):
    s.sendto(os.urandom(i % 1400), ('239.1.1.1', 4790))
    s.sendto(b'{"docker_router":1,"type":"announce","record":{"stack_id":"x"}}', ('239.1.1.1', 4790))`;
  const mark = (await logs(a, 'discovery')).length;
  await ok(2, 'python3', '-c', script);
  const garbage = ['', '{', '[]', '{"version":9}', 'x'.repeat(100_000), '{"version":1,"self":null,"peers":[null]}'];
  for (const text of garbage) {
    await execIn(
      a,
      'discovery',
      'node',
      '-e',
      `require("fs").writeFileSync("/var/lib/docker-router/discovery.json", ${JSON.stringify(text)})`,
    );
    await sleep(100);
  }
  await allReach([a, b], 3);
  assert.deepEqual(await routesOf(a), ['172.31.0.0/24']);
  await saysSoon(a, 'router', /discovery\.json ignored, the last good one stays/);
  const lines = (await logs(a, 'discovery'))
    .slice(mark)
    .split('\n')
    .filter((line) => line.includes('malformed datagram'));
  assert.ok(lines.length >= 1 && lines.length <= 3, `${lines.length} lines for 4,000 datagrams`);
});

test('least privilege: what the containers of the examples have, and have not', async () => {
  for (const service of ['discovery', 'router']) {
    const [info] = JSON.parse(await ok(1, 'docker', 'inspect', container(a, service)));
    assert.equal(info.HostConfig.ReadonlyRootfs, true);
    assert.equal(info.HostConfig.Privileged, false);
    assert.deepEqual(info.HostConfig.CapDrop, ['ALL']);
    assert.ok(info.HostConfig.SecurityOpt.includes('no-new-privileges:true'));
    assert.ok(!JSON.stringify(info.Mounts).includes('docker.sock'));
  }
  const status = async (service: string) => execIn(a, service, 'sh', '-c', 'cat /proc/$(pgrep -o node)/status');
  assert.match(await status('discovery'), /^Uid:\s+10001\s+10001\s+10001\s+10001$/m);
  assert.match(await status('discovery'), /^CapEff:\s+0{16}$/m);
  assert.match(await status('discovery'), /^CapBnd:\s+0{16}$/m);
  assert.match(await status('router'), /^CapEff:\s+0000000000001000$/m);
  assert.match(await status('router'), /^NoNewPrivs:\s+1$/m);
});

test('both containers together at rest: at most 25 MB of private memory and 0.5 % of a core', async (t) => {
  // ANNOUNCE_INTERVAL as users have it, and a port without the tests' own stacks, which announce thirty times as often.
  const env = { ANNOUNCE_INTERVAL: '30s', PEER_TIMEOUT: '90s', DISCOVERY_PORT: '4890' };
  const [calm, other] = await Promise.all([
    startHealthy(t, 'calm', 1, { net: '172.26.0', env }),
    startHealthy(t, 'calm-too', 2, { net: '172.25.0', env }),
  ]);
  await reaches(calm, [other], 3);
  const ids = await Promise.all(
    ['discovery', 'router'].map((service) => ok(1, 'docker', 'inspect', '-f', '{{.Id}}', container(calm, service))),
  );
  const cpu = async () => {
    const values = await Promise.all(
      ids.map((id) => ok(1, 'sh', '-c', `cat $(find /sys/fs/cgroup -path "*${id}*" -name cpuacct.usage | head -n 1)`)),
    );
    return values.reduce((sum, text) => sum + Number(text), 0) / 1e6;
  };
  const uss = async () => {
    const own = `for id in ${ids.join(' ')}; do for p in $(docker top $id -o pid | tail -n +2); do cat /proc/$p/smaps_rollup; done; done`;
    return Number(await ok(1, 'sh', '-c', `${own} | awk '/^Private_/ { sum += $2 } END { print sum / 1024 }'`));
  };
  // Until what starting up has used is given back (image/compact.mjs).
  await sleep(15_000);
  const [before, began] = [await cpu(), Date.now()];
  // A minute, in which all that recurs has its turn as often as in any other: one look at the kernel, two health checks of each container.
  // Not in it: memory is given back every five minutes, 0.02 % of a core on average (image/compact.mjs).
  // Between two collections the heap grows: the largest counts, whenever it comes.
  const samples: number[] = [];
  for (let i = 1; i <= 6; i += 1) {
    await sleep(began + i * 10_000 - Date.now());
    samples.push(await uss());
  }
  const share = ((await cpu()) - before) / (Date.now() - began);
  const megabytes = Math.max(...samples);
  const all = samples.map((value) => value.toFixed(1)).join(' ');
  console.log(`at rest: ${(share * 100).toFixed(2)} % of a core, ${megabytes.toFixed(1)} MB private (${all})`);
  assert.ok(megabytes <= 25, `${megabytes} MB`);
  assert.ok(share <= 0.005, `${share}`);
});

test('nothing of all this is left in stack-a', async () => {
  await eventually(8, async () =>
    assert.deepEqual(
      (await discoveryFile(a)).peers.map(({ stack_id }) => stack_id),
      ['stack-b'],
    ),
  );
  assert.equal((await tryCompose(a, 'ps', '-q')).stdout.trim().split('\n').length, 3);
});
