/** SERVICE.STACK.internal on real Docker Engines: names-a and names-c on host 1, names-b on host 2. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually, ok, outsideServer, useLab } from '../support/lab.ts';
import {
  addressOf,
  assertLog,
  compose,
  container,
  down,
  execIn,
  inContainer,
  logs,
  reaches,
  type Stack,
  up,
  writeStack,
} from '../support/stacks.ts';

const SERVER = '/repo/test/support/name-server.py';
/** The outside world's name server: the hosts' resolver, and the one that a service may name as its second. */
const OUTSIDE = '10.77.0.254';
const stacks: { a: Stack; b: Stack; c: Stack } = {} as never;
const servers: (() => void)[] = [];

useLab(2, async () => {
  servers.push(outsideServer('python3', SERVER, OUTSIDE));
  // names-a also has a service that says nothing about DNS, and one whose second server is on the stack's own network.
  const services = `plain: { image: docker-router-service }
bridged: { image: docker-router-service, dns: [172.26.0.2, 172.26.0.1] }
`;
  // Its network has IPv6 besides.
  const v4 = '{ subnet: 172.26.0.0/24, gateway: 172.26.0.1, aux_addresses: { DefaultGatewayIPv4: 172.26.0.2 } }';
  const both = { ipam: `${v4}, { subnet: "fd00:26::/64" }`, network: 'enable_ipv6: true' };
  stacks.a = await writeStack('names-a', 1, {
    net: '172.26.0',
    ...both,
    web: `dns: [172.26.0.2, ${OUTSIDE}]`,
    services,
  });
  stacks.b = await writeStack('names-b', 2, { net: '172.25.0', web: 'dns: 172.25.0.2' });
  stacks.c = await writeStack('names-c', 1, { net: '172.24.0', web: 'dns: 172.24.0.2' });
  await Promise.all(Object.values(stacks).map(up));
});
after(() => {
  for (const end of servers) end();
});

interface Answer {
  code: string;
  data: string[];
  ms: number;
}

async function lookUp(stack: Stack, service: string, name: string, type = 'A'): Promise<Answer> {
  return JSON.parse(await execIn(stack, service, 'node', '/service/lookup.mjs', name, type)) as Answer;
}
/** The answer's data in order, or its code. */
async function found(stack: Stack, name: string, type = 'A', service = 'web'): Promise<string> {
  const { code, data } = await lookUp(stack, service, name, type);
  return code === 'OK' ? data.sort().join(' ') : code;
}
async function replicas(stack: Stack, count: number): Promise<string> {
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
  const names = Array.from({ length: count }, (_, i) => `${stack.name}-web-${i + 1}`);
  return (await ok(stack.host, 'docker', 'inspect', '-f', format, ...names)).split('\n').sort().join(' ');
}

test('every service finds every other by name, on its own host and on another, and reaches it', async () => {
  for (const from of Object.values(stacks)) {
    for (const to of Object.values(stacks)) {
      await eventually(10, async () =>
        assert.equal(await found(from, `web.${to.name}.internal`), await addressOf(to), `${from.name} -> ${to.name}`),
      );
      const url = `http://web.${to.name}.internal/`;
      assert.match(await execIn(from, 'web', 'node', '/service/probe.mjs', 'get', url, '3'), / to 172\./, url);
    }
  }
});

test('PTR leads back, AAAA is empty, and a name of the other stack in capitals is the same', async () => {
  const address = await addressOf(stacks.b);
  assert.equal(await found(stacks.a, address, 'PTR'), 'web.names-b.internal');
  assert.equal(await found(stacks.a, 'web.names-b.internal', 'AAAA'), 'ENODATA');
  assert.equal(await found(stacks.a, 'WEB.Names-B.Internal'), address);
});

test('AAAA where there is IPv6: in the own network; real clients of both stacks take IPv4 between them, at once', async () => {
  const format = '{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}';
  const own = await ok(1, 'docker', 'inspect', '-f', format, container(stacks.a, 'web'));
  assert.equal(await found(stacks.a, 'web.names-a.internal', 'AAAA'), own);
  const hosts = async (from: Stack, name: string) =>
    [
      ...new Set((await execIn(from, 'web', 'getent', 'ahosts', name)).split('\n').map((line) => line.split(' ')[0]!)),
    ].sort();
  assert.deepEqual(await hosts(stacks.a, 'web.names-a.internal'), [await addressOf(stacks.a), own].sort());
  assert.deepEqual(await hosts(stacks.b, 'web.names-a.internal'), [await addressOf(stacks.a)]);
  for (const [from, to] of [
    [stacks.a, stacks.b],
    [stacks.b, stacks.a],
  ] as const) {
    const shown = await curl(from, `http://web.${to.name}.internal/`);
    assert.match(shown.body, / to 172\./);
    console.log(`curl ${from.name} -> ${to.name}: name after ${shown.lookUpS} s`);
    assert.ok(shown.lookUpS < 1, `${shown.lookUpS} s`);
  }
});

/** The curl of the host in the network of a service, with the name servers of the service. */
async function curl(stack: Stack, url: string): Promise<{ body: string; lookUpS: number }> {
  const inspect = ['docker', 'inspect', '-f', '{{.State.Pid}} {{.ResolvConfPath}}', container(stack, 'web')];
  const [pid, resolvConf] = (await ok(stack.host, ...inspect)).split(' ') as [string, string];
  const line = 'mount --bind "$1" /etc/resolv.conf && exec curl -sS -m 20 -w "\\n%{time_namelookup}" "$2"';
  const argv = ['nsenter', '-t', pid, '-n', 'unshare', '-m', 'sh', '-c', line, 'sh', resolvConf, url];
  const [body, seconds] = (await ok(stack.host, ...argv)).split(/\n(?=[^\n]*$)/) as [string, string];
  return { body, lookUpS: Number(seconds) };
}

test("Docker's own names keep their place", async () => {
  assert.equal(await found(stacks.a, 'web'), await addressOf(stacks.a));
  assert.equal(await found(stacks.a, 'plain'), await addressOf(stacks.a, 'plain'));
});

test('the answer follows docker compose up --scale within 2 s, up and down, replicas in changing order', async () => {
  for (const count of [3, 1]) {
    await compose(stacks.b, 'up', '-d', '--no-recreate', '--scale', `web=${count}`);
    const scaled = performance.now();
    const expected = await replicas(stacks.b, count);
    await eventually(2, async () => assert.equal(await found(stacks.a, 'web.names-b.internal'), expected));
    console.log(`scale to ${count}: followed after ${Math.round(performance.now() - scaled)} ms`);
    if (count === 1) continue;
    const orders = new Set<string>();
    for (let i = 0; i < 12; i += 1) orders.add((await lookUp(stacks.a, 'web', 'web.names-b.internal')).data.join());
    assert.ok(orders.size > 1, 'always the same order');
  }
});

test('an unknown service of a known stack is NXDOMAIN at once', async () => {
  const { code, ms } = await lookUp(stacks.a, 'web', 'nothing.names-b.internal');
  assert.equal(code, 'ENOTFOUND');
  console.log(`unknown service: NXDOMAIN after ${ms} ms`);
  assert.ok(ms < 1000, `${ms} ms`);
});

test('outside names, and what is no stack, are what the resolvers of the host say', async () => {
  assert.equal(await found(stacks.a, 'www.example.org'), '192.0.2.1');
  assert.equal(await found(stacks.b, 'www.example.org'), '192.0.2.1');
  assert.equal(await found(stacks.b, 'web.no-such-stack.internal'), 'ENOTFOUND');
  assert.equal(await found(stacks.b, 'example.com'), 'ENOTFOUND');
});

test('without dns: nothing changes', async () => {
  assert.equal(await found(stacks.a, 'www.example.org', 'A', 'plain'), '192.0.2.1');
  assert.equal(await found(stacks.a, 'web.names-b.internal', 'A', 'plain'), 'ENOTFOUND');
  assert.match(await execIn(stacks.a, 'plain', 'cat', '/etc/resolv.conf'), /ExtServers: \[(host\()?10\.77\.0\.254/);
});

test("another stack's services cannot ask this stack's router, and get nothing from the world by it", async () => {
  const ask = (from: Stack, server: string, name: string) =>
    inContainer(
      from,
      'web',
      'node',
      '-e',
      `const r = new (require('dns').promises.Resolver)({ timeout: 700, tries: 1 }); r.setServers(['${server}']);
       r.resolve4('${name}').then((a) => console.log(a.join()), (e) => console.log(e.code))`,
    ).then(({ stdout }) => stdout.trim());
  assert.equal(await ask(stacks.a, '172.25.0.2', 'www.example.org'), 'ETIMEOUT');
  assert.equal(await ask(stacks.a, '172.25.0.2', 'web.names-b'), 'ETIMEOUT');
  assert.equal(await ask(stacks.a, '172.26.0.2', 'www.example.org'), '192.0.2.1');
});

test('a stack whose router is away is SERVFAIL within 2 s, the others are found meanwhile', async () => {
  await ok(2, 'docker', 'stop', '-t', '3', container(stacks.b, 'router'));
  const { code, ms } = await lookUp(stacks.c, 'web', 'web.names-b.internal');
  console.log(`router away: ${code} after ${ms} ms`);
  assert.equal(code, 'ESERVFAIL');
  assert.ok(ms < 2000, `${ms} ms`);
  assert.equal(await found(stacks.c, 'web.names-a.internal'), await addressOf(stacks.a));
  await ok(2, 'docker', 'start', container(stacks.b, 'router'));
  await eventually(20, async () =>
    assert.equal(await found(stacks.c, 'web.names-b.internal'), await addressOf(stacks.b)),
  );
});

test('an engine that keeps port 53 from containers: the log names the line to add, and the stack is connected all the same', async () => {
  const stack = await writeStack('names-d', 2, {
    net: '172.23.0',
    router: 'sysctls: ["net.ipv4.ip_unprivileged_port_start=1024"]\n',
  });
  try {
    await up(stack);
    await eventually(10, async () =>
      assertLog(await logs(stack, 'router'), /sysctls: \[net\.ipv4\.ip_unprivileged_port_start=0\]/),
    );
    await reaches(stack, [stacks.a], 5);
  } finally {
    await down(stack);
  }
});

test("a router process that is away does not take the world's names with it: the second server is asked", async () => {
  const router = (...argv: string[]) => inContainer(stacks.a, 'router', ...argv);
  // Not started again meanwhile; what it programmed goes on forwarding.
  await router('pkill', '-STOP', '-f', 'docker-router/supervise');
  await router('pkill', '-KILL', '-f', 'docker-router.mjs');
  try {
    const { code, data, ms } = await lookUp(stacks.a, 'web', 'www.example.org');
    console.log(`router process away: ${code} after ${ms} ms`);
    assert.deepEqual([code, data], ['OK', ['192.0.2.1']]);
    await reaches(stacks.a, [stacks.c], 3);
  } finally {
    await router('pkill', '-CONT', '-f', 'docker-router/supervise');
  }
  await eventually(10, async () =>
    assert.equal(await found(stacks.a, 'web.names-c.internal'), await addressOf(stacks.c)),
  );
});

/** Docker's own names do not wait for the router: Docker would do so for 4 s. */
async function ownNamesAtOnce(): Promise<void> {
  const { code, ms } = await lookUp(stacks.a, 'web', 'plain');
  assert.deepEqual([code, ms < 4000], ['OK', true], `${ms} ms`);
}

test('a router container that is paused: the second server is asked in its place', async () => {
  await ok(1, 'docker', 'pause', container(stacks.a, 'router'));
  try {
    const [{ code, data, ms }] = await Promise.all([lookUp(stacks.a, 'web', 'www.example.org'), ownNamesAtOnce()]);
    console.log(`router container paused: ${code} after ${ms} ms`);
    assert.deepEqual([code, data], ['OK', ['192.0.2.1']]);
  } finally {
    await ok(1, 'docker', 'unpause', container(stacks.a, 'router'));
  }
});

test('a router container that is restarted: all names are there again, those of Docker meanwhile', async () => {
  const restarted = ok(1, 'docker', 'restart', '-t', '3', container(stacks.a, 'router'));
  await ownNamesAtOnce();
  await restarted;
  await eventually(20, async () => {
    assert.equal(await found(stacks.a, 'www.example.org'), '192.0.2.1');
    assert.equal(await found(stacks.a, 'web.names-b.internal'), await addressOf(stacks.b));
  });
});

test('a router container that is stopped takes the way out with it, with dns: or without; a second server on the network of the stack still answers', async () => {
  const lab = fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url));
  const server = spawn(lab, ['in', '1', 'python3', SERVER, '172.26.0.1'], { stdio: 'ignore' });
  const ask = (service: string) => lookUp(stacks.a, service, 'www.example.org');
  try {
    await ok(1, 'docker', 'stop', '-t', '3', container(stacks.a, 'router'));
    const [bridged, web, plain] = await Promise.all([ask('bridged'), ask('web'), ask('plain'), ownNamesAtOnce()]);
    for (const { code, ms } of [bridged, web, plain]) console.log(`router container away: ${code} after ${ms} ms`);
    assert.deepEqual([bridged.code, bridged.data], ['OK', ['192.0.2.1']]);
    assert.notEqual(web.code, 'OK');
    assert.notEqual(plain.code, 'OK', 'engine 26 asks from the network of the service');
  } finally {
    server.kill('SIGTERM');
    await ok(1, 'docker', 'start', container(stacks.a, 'router'));
  }
  await eventually(20, async () =>
    assert.equal(await found(stacks.a, 'web.names-b.internal'), await addressOf(stacks.b)),
  );
});
