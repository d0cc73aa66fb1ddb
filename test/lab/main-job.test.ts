/** The main job on real Docker Engines: stack-a and stack-c on host 1, stack-b on host 2. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, hostNumbers, ok, outside, outsideServer, stopTime, useLab } from '../support/lab.ts';
import {
  addressOf,
  allReach,
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
  up,
} from '../support/stacks.ts';

const HOSTS = 2;
// Short times, so that a timeout is worth waiting for.
const TIMES = { ANNOUNCE_INTERVAL: '1s', PEER_TIMEOUT: '5s' };
const OVERRIDE = '/repo/test/lab/published.yml';
const a = exampleStack('a', 1, TIMES, [OVERRIDE]);
const c = exampleStack('c', 1, TIMES);
const b = exampleStack('b', 2, TIMES);
const all = [a, b, c];
const PROBE = ['node', '/service/probe.mjs'];

useLab(HOSTS, () => Promise.all(all.map(up)));

test('every service reaches every other stack over TCP within 3 s of its router being healthy', () => allReach(all, 3));

test('the published command shows the others', async () => {
  const file = JSON.parse(await compose(a, 'exec', '-T', 'test-a', 'cat', '/shared/discovery.json'));
  assert.deepEqual(
    file.peers.map((peer: { stack_id: string }) => peer.stack_id),
    ['stack-b', 'stack-c'],
  );
  assert.equal(file.self.stack_id, 'stack-a');
});

test('10 MB over HTTP between all pairs', async () => {
  for (const from of all) {
    for (const to of all) {
      if (from === to) continue;
      const got = await execIn(
        from,
        from.service,
        ...PROBE,
        'get',
        `http://${await addressOf(to)}/bytes/10000000`,
        '20',
      );
      assert.equal(got, '10000000', `${from.name} -> ${to.name}`);
    }
  }
});

test('a 1,472-byte ping that may not be fragmented is answered "fragmentation needed", one that fits passes, a fragmented one passes', async () => {
  // stack-a's network has an MTU of 1500 here, so its services do not know the tunnel's.
  for (const to of [b, c]) {
    const address = await addressOf(to);
    const large = await inContainer(a, 'test-a', 'ping', '-c', '1', '-W', '2', '-M', 'do', '-s', '1472', address);
    assert.match(large.stdout + large.stderr, /Frag needed and DF set \(mtu = 1450\)|mtu ?= ?1450/, to.name);
    for (const size of [
      ['-M', 'do', '-s', '1422'],
      ['-M', 'dont', '-s', '4000'],
    ]) {
      assert.match(
        await execIn(a, 'test-a', 'ping', '-c', '1', '-W', '2', ...size, address),
        / 0% packet loss/,
        `${size} ${to.name}`,
      );
    }
  }
});

for (const value of [0, 1]) {
  test(`with bridge-nf-call-iptables=${value}: stacks, egress${value === 0 ? ' and published ports' : ''}`, async () => {
    for (const host of hostNumbers(HOSTS))
      await ok(host, 'sysctl', '-qw', `net.bridge.bridge-nf-call-iptables=${value}`);
    await allReach(all, 5);
    const stopServer = outsideServer('python3', '-m', 'http.server', '8000', '--bind', '10.99.0.1');
    for (const stack of all) {
      await eventually(5, () => execIn(stack, stack.service, ...PROBE, 'get', 'http://10.99.0.1:8000/', '2'));
    }
    if (value === 0) {
      const remote = await outside('curl', '-sf', '-m', '5', 'http://10.77.0.1:8080/');
      assert.match(remote.stdout, /to 10\.77\.0\.254/);
    }
    stopServer();
    await ok(1, 'sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0');
    await ok(2, 'sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0');
  });
}

test('SIGKILL of the router process: nothing is lost, it is back within 2 s, and it changes nothing in the kernel', async () => {
  const watch = execIn(b, 'test-b', ...PROBE, 'watch', '4', `http://${await addressOf(a)}/`);
  const listing = () =>
    execIn(
      a,
      'router',
      'sh',
      '-c',
      'ip -d link show vxlan0; ip route; bridge fdb show dev vxlan0; ip neigh show nud permanent; nft -s list ruleset',
    );
  const before = await listing();
  const mark = (await logs(a, 'router')).length;
  await execIn(a, 'router', 'pkill', '-KILL', '-f', 'docker-router.mjs').catch(() => undefined);
  await eventually(2, async () => assert.match((await logs(a, 'router')).slice(mark), /underlay host/));
  const [sent, lost] = (await watch).split(' ').map(Number);
  assert.ok(sent! > 50, `${sent} sent`);
  assert.equal(lost, 0, `${lost} of ${sent} lost`);
  assert.equal(await listing(), before);
  assert.doesNotMatch((await logs(a, 'router')).slice(mark), /brought up to date|created|adjusted/);
});

test('a restarted router keeps its VXLAN port and its MAC, so the others need not change anything', async () => {
  const endpoint = async () => (await discoveryFile(b)).peers.map((peer) => `${peer.vxlan_endpoint} ${peer.vtep_mac}`);
  const before = await endpoint();
  assert.equal(new Set(before).size, 2);
  await compose(c, 'restart', '-t', '2', 'router');
  await eventually(10, () => reaches(b, [c], 2));
  assert.deepEqual(await endpoint(), before);
});

test('docker-router status: round trip and traffic of each peer; one whose packets are blocked is unreachable, and back', async () => {
  const status = async () =>
    JSON.parse(await execIn(a, 'router', 'docker-router', 'status', '--json')) as {
      peers: { stack_id: string; condition: string; round_trip_ms?: number; received_bytes?: number; path: string }[];
    };
  const is = (wanted: string) =>
    eventually(30, async () => {
      const { peers } = await status();
      assert.deepEqual(
        peers.map(({ stack_id, condition, path }) => `${stack_id} ${condition} ${path}`),
        [`stack-b ${wanted} host`, 'stack-c ok same host'],
      );
      return peers;
    });
  for (const { round_trip_ms, received_bytes } of await is('ok')) assert.ok(round_trip_ms! > 0 && received_bytes! > 0);
  await ok(2, 'iptables', '-I', 'INPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP');
  await is('unreachable');
  await ok(2, 'iptables', '-D', 'INPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP');
  await is('ok');
});

test('docker compose restart discovery: nothing is lost, and no route changes', async () => {
  const watch = execIn(b, 'test-b', ...PROBE, 'watch', '6', `http://${await addressOf(a)}/`);
  const mark = (await logs(b, 'router')).length;
  await compose(a, 'restart', '-t', '3', 'discovery');
  const [sent, lost] = (await watch).split(' ').map(Number);
  assert.ok(sent! > 50, `${sent} sent`);
  assert.equal(lost, 0, `${lost} of ${sent} lost`);
  assert.doesNotMatch((await logs(b, 'router')).slice(mark), /brought up to date/);
});

test('a stack whose discovery is stopped stays routed until PEER_TIMEOUT', async () => {
  await compose(b, 'stop', '-t', '3', 'discovery');
  assert.equal((await routesOf(a)).length, 2, 'still routed');
  await eventually(10, async () => assert.deepEqual(await routesOf(a), ['172.29.0.0/24']));
  await up(b);
  await allReach(all, 3);
});

test('docker compose down removes its routes elsewhere within 1 s; up connects it again', async () => {
  assert.equal((await routesOf(a)).length, 2);
  // Only the two containers go, at once, as `down` does in its course: what counts is the time from discovery's end.
  await compose(b, 'stop', '-t', '3', 'discovery', 'router');
  await eventually(1, async () => assert.deepEqual(await routesOf(a), ['172.29.0.0/24']));
  await down(b);
  await up(b);
  await allReach(all, 3);
});

test('docker kill of both containers: its routes are gone within PEER_TIMEOUT; up connects it again', async () => {
  await ok(2, 'docker', 'kill', container(b, 'discovery'), container(b, 'router'));
  assert.equal((await routesOf(a)).length, 2, 'still routed');
  await eventually(2, async () =>
    assert.equal((await discoveryFile(a)).peers.find((p) => p.stack_id === 'stack-b')?.status, 'stale'),
  );
  await eventually(6, async () => assert.deepEqual(await routesOf(a), ['172.29.0.0/24']));
  await up(b);
  await allReach(all, 3);
});

test('deleted entries are repaired within one resync', async () => {
  const address = await addressOf(b);
  await execIn(
    a,
    'router',
    'sh',
    '-c',
    'ip route del 172.31.0.0/24; ip neigh del 172.31.0.2 dev vxlan0; nft delete table netdev docker_router',
  );
  await assert.rejects(execIn(a, 'test-a', ...PROBE, 'get', `http://${address}/`, '1'));
  await eventually(32, () => execIn(a, 'test-a', ...PROBE, 'get', `http://${address}/`, '1'));
});

test('a damaged router.json is written again within one resync, so a discovery that starts anew announces the stack', async () => {
  const path = '/var/lib/docker-router/router.json';
  await execIn(a, 'router', 'sh', '-c', `echo garbage >${path}`);
  await eventually(15, async () => assert.match(await execIn(a, 'router', 'cat', path), /"172\.30\.0\.0\/24"/));
  await compose(a, 'restart', '-t', '3', 'discovery');
  await eventually(15, async () => assert.equal((await routesOf(b)).length, 2));
  await allReach(all, 5);
});

test('a clean stop takes less than a second', async () => {
  for (const service of ['router', 'discovery']) {
    const took = await stopTime(1, container(c, service));
    const code = await ok(1, 'docker', 'inspect', '-f', '{{.State.ExitCode}}', container(c, service));
    assert.equal(code, '0', `${service} exit status`);
    assert.ok(took < 1000, `${service} took ${took} ms`);
  }
  await up(c);
  await allReach(all, 5);
});
