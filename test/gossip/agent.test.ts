/** The source and its Serf agent: what people see of it, what goes wrong, and that it mends itself. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MAX_TAG_BYTES, tagBytes } from '../../src/sources/gossip/tags.ts';
import { HOST_IP, inPrivateNetwork } from '../conformance/network.ts';
import { childrenNamed, foreignAgent, gossipKey } from './serf.ts';
import { allSeeAll, Stacks, until } from './stacks.ts';

const WRAPPER = fileURLToPath(new URL('../../discovery/serf.sh', import.meta.url));
const KEY = gossipKey();

await inPrivateNetwork(import.meta.url);
const stacks = new Stacks();
afterEach(() => stacks.close());
after(() => stacks.remove());

test('`serf members` in the container shows the stacks', async () => {
  const [a, b] = [stacks.run(1, { keys: [KEY] }), stacks.run(2, { keys: [KEY] })];
  await allSeeAll([a, b]);
  // As in the image: the wrapper stands before the real command, and HEALTH_FILE names the folder.
  const environment = { PATH: process.env.PATH, HEALTH_FILE: a.folder.replace(/\.serf$/, '') };
  const { stdout, stderr } = spawnSync(WRAPPER, ['members'], { encoding: 'utf8', env: environment });
  assert.match(stdout, /^stack-1\.[0-9a-f]{8} +10\.99\.0\.1:794[67] +alive .*id=stack-1/m, stderr);
  assert.match(stdout, /^stack-2\.[0-9a-f]{8} +10\.99\.0\.1:794[67] +alive .*net=10\.100\.2\.0\/24/m, stderr);
  const elsewhere = spawnSync(WRAPPER, ['members'], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HEALTH_FILE: '/nowhere' },
  });
  assert.match(elsewhere.stderr, /cannot read \/nowhere\.serf\/rpc\.env. Is DISCOVERY_MODE=gossip set/);
});

test('secrets are in files of this user alone, in no argument and no environment; nothing is left after a stop', async () => {
  const stack = stacks.run(1, { keys: [KEY] });
  await until(
    () => stack.works === true,
    10_000,
    'it works',
    () => stack.events,
  );
  const { pid, folder } = stack;
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(folder).sort(), ['agent.json', 'keyring.json', 'rpc.env']);
  for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
  const { rpc_auth } = JSON.parse(readFileSync(join(folder, 'agent.json'), 'utf8')) as { rpc_auth: string };
  assert.match(rpc_auth, /^[0-9a-f]{64}$/);
  for (const file of ['cmdline', 'environ']) {
    const text = readFileSync(`/proc/${pid}/${file}`, 'utf8');
    assert.ok(!text.includes(KEY) && !text.includes(rpc_auth), file);
  }
  await stack.source.stop();
  assert.ok(!existsSync(folder));
  assert.deepEqual(childrenNamed(process.pid, 'serf'), []);
});

test('the RPC is closed to whoever does not know the token', async () => {
  const stack = stacks.run(1);
  await until(
    () => stack.works === true,
    10_000,
    'it works',
    () => stack.events,
  );
  const rpc = /SERF_RPC_ADDR=(.*)/.exec(readFileSync(join(stack.folder, 'rpc.env'), 'utf8'))![1]!;
  assert.match(rpc, /^127\.0\.0\.1:/);
  const { status, stderr, stdout } = spawnSync('/usr/bin/serf', ['members', `-rpc-addr=${rpc}`], { encoding: 'utf8' });
  assert.notEqual(status, 0);
  assert.match(stdout + stderr, /Authentication required/);
});

test('an agent that dies is started again; the peers stay on both sides', async () => {
  const [a, b] = [stacks.run(1, { keys: [KEY] }), stacks.run(2, { keys: [KEY] })];
  await allSeeAll([a, b]);
  const [eventsOfA, eventsOfB] = [a.events.length, b.events.length];
  const before = a.pid;
  process.kill(before, 'SIGKILL');
  await until(
    () => a.lastState?.ok === false,
    2000,
    'it says so',
    () => a.lastState,
  );
  assert.match(a.lastState!.message!, /^Serf ended \(SIGKILL\); trying again in 0\.25 s, the peers stay until then$/);
  await until(
    () => a.lastState?.ok === true,
    15_000,
    'it works again',
    () => a.lastState,
  );
  assert.notEqual(a.pid, before);
  // Long enough for the others to have given it up.
  await sleep(10_000);
  await allSeeAll([a, b]);
  const losses = (events: typeof a.events) =>
    events.filter((event) => event.type === 'remove' || (event.type === 'snapshot' && event.records.length === 0));
  assert.deepEqual(losses(a.events.slice(eventsOfA)), []);
  assert.deepEqual(losses(b.events.slice(eventsOfB)), []);
  a.change({ vxlan_port: 6000 });
  await allSeeAll([a, b]);
});

test('an agent that hangs is noticed and started again', async () => {
  const [a, b] = [stacks.run(1), stacks.run(2)];
  await allSeeAll([a, b]);
  const hanging = a.pid;
  process.kill(hanging, 'SIGSTOP');
  await until(
    () => a.lastState?.ok === false,
    20_000,
    'it says so',
    () => a.lastState,
  );
  assert.match(a.lastState!.message!, /did not answer members within/);
  await until(
    () => a.lastState?.ok === true,
    20_000,
    'it works again',
    () => a.lastState,
  );
  assert.notEqual(a.pid, hanging);
  await allSeeAll([a, b]);
});

test('a stack that knows nobody and is found by the others: it is seen after every restart', async () => {
  const b = stacks.run(2);
  let boot = 1_800_000_000_000;
  for (let round = 0; round < 6; round += 1) {
    boot += 1;
    const a = stacks.run(1, { seeds: [] }, { boot });
    await allSeeAll([a, b]);
    await sleep(1000);
    await allSeeAll([a, b]);
    await a.source.stop();
    rmSync(`${a.folder}.json`);
    await until(
      () => b.sees.length === 0,
      3000,
      'it is gone',
      () => b.events.slice(-3),
    );
  }
});

test('a stack that restarts while its seeds are down finds the others by what it remembers', async () => {
  const seeds = [{ host: HOST_IP, port: 7946 }];
  const seed = stacks.run(1);
  await until(
    () => seed.works === true,
    10_000,
    'the seed works',
    () => seed.events,
  );
  const [b, c] = [stacks.run(2, { seeds }), stacks.run(3, { seeds })];
  await allSeeAll([seed, b, c]);
  await seed.source.stop();
  await allSeeAll([b, c]);
  await c.source.stop();
  await sleep(12_000);
  assert.deepEqual(b.sees, []);
  const again = stacks.run(3, { seeds }, { boot: c.record.boot + 1 });
  await allSeeAll([b, again]);
});

test('another key: both sides say so in plain words, nobody sees a wrong peer', async () => {
  const a = stacks.run(1, { keys: [KEY] });
  await until(
    () => a.works === true,
    10_000,
    'it works',
    () => a.events,
  );
  const b = stacks.run(2, { keys: [gossipKey()] });
  await until(
    () => b.lastState?.ok === false,
    10_000,
    'the newcomer says so',
    () => b.events,
  );
  assert.equal(
    b.lastState!.message,
    '10.99.0.1:7946 gossips with another key; set the same GOSSIP_ENCRYPT_KEY on every stack',
  );
  await until(
    () => a.dropped('gossip with another key').length > 0,
    5000,
    'the other too',
    () => a.events,
  );
  assert.match(
    a.dropped('gossip with another key')[0]!,
    /^from 10\.99\.0\.1: its GOSSIP_ENCRYPT_KEY is not this stack's/,
  );
  const c = stacks.run(3);
  await until(
    () => c.lastState?.ok === false,
    10_000,
    'one without a key says so',
    () => c.events,
  );
  assert.deepEqual([a.sees, b.sees, c.sees], [[], [], []]);
  await b.source.stop();
  const mended = stacks.run(2, { keys: [KEY] });
  await allSeeAll([a, mended]);
});

test('a record that does not fit is told with what to shorten, and the last one that fitted stays', async () => {
  const subnets = Array.from({ length: 16 }, (_, i) => `172.30.${100 + i}.0/24`);
  const keys = { wireguard: 'k'.repeat(44), identity: 'k'.repeat(120) };
  const [a, b] = [stacks.run(1), stacks.run(2)];
  await allSeeAll([a, b]);
  const fitted = a.record;
  a.change({ subnets, public_keys: keys });
  await until(
    () => a.lastState?.ok === false,
    5000,
    'it says so',
    () => a.lastState,
  );
  assert.match(a.lastState!.message!, /takes \d+ bytes and gossip has room for 512; shorten the subnets/);
  await sleep(1000);
  assert.ok(b.has(fitted));
  a.change({ subnets: ['172.30.1.0/24'], public_keys: undefined });
  await allSeeAll([a, b]);
  await until(
    () => a.lastState?.ok === true,
    5000,
    'all is well again',
    () => a.lastState,
  );
  const late = stacks.run(3, {}, { subnets, public_keys: keys });
  await until(
    () => late.lastState?.ok === false,
    5000,
    'a stack that starts with one says so',
    () => late.lastState,
  );
  late.change({ subnets: ['172.30.3.0/24'], public_keys: undefined });
  await allSeeAll([a, b, late]);
});

test('the size of tags is counted as Serf counts it, to the byte', async () => {
  const exactly = (bytes: number) => {
    const tags = { id: 'stack-9', filler: '' };
    return { ...tags, filler: 'x'.repeat(bytes - tagBytes(tags) - 2) };
  };
  assert.equal(tagBytes(exactly(MAX_TAG_BYTES)), MAX_TAG_BYTES);
  const order = { root: stacks.root, hostIp: HOST_IP, key: undefined, join: `${HOST_IP}:7946` };
  const fits = await foreignAgent({ ...order, port: 9000, tags: exactly(MAX_TAG_BYTES) });
  const tooLarge = await foreignAgent({ ...order, port: 9001, tags: exactly(MAX_TAG_BYTES + 1) });
  await until(
    () => tooLarge.child.exitCode !== null,
    5000,
    'one byte more is refused',
    () => undefined,
  );
  assert.deepEqual([fits.listens, fits.child.exitCode, tooLarge.child.exitCode], [true, null, 1]);
  await Promise.all([fits.kill(), tooLarge.kill()]);
});

test('a port that is taken: the next one; when all are, a message that names the variable', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ port: 7946, host: HOST_IP }, resolve));
  const last = createServer();
  await new Promise<void>((resolve) => last.listen({ port: 65_535, host: HOST_IP }, resolve));
  try {
    const [a, b] = [stacks.run(1), stacks.run(2)];
    await allSeeAll([a, b]);
    const ports = [a, b].map((stack) => /10\.99\.0\.1:(\d+)/.exec(stack.lastState?.message ?? '')?.[1]);
    assert.deepEqual(ports.sort(), ['7947', '7948']);
    const none = stacks.run(3, { port: 65_535 });
    await until(
      () => none.lastState?.ok === false,
      5000,
      'it says so',
      () => none.events,
    );
    assert.match(
      none.lastState!.message!,
      /^no free port from 65535 to 65535 on 10\.99\.0\.1; set GOSSIP_PORT to another one/,
    );
  } finally {
    server.close();
    last.close();
  }
});

test('an address of something before the host (NAT): the agent listens on all of its own', async () => {
  const stack = stacks.run(1, {}, { host_ip: '203.0.113.7' });
  await until(
    () => stack.works === true,
    10_000,
    'it works',
    () => stack.events,
  );
  const { bind, advertise } = JSON.parse(readFileSync(join(stack.folder, 'agent.json'), 'utf8')) as Record<
    string,
    string
  >;
  assert.deepEqual([bind, advertise], ['0.0.0.0:7946', '203.0.113.7:7946']);
});

test("a host's address that changes: the agent follows, and the others with it", async () => {
  const [a, b] = [stacks.run(1), stacks.run(2)];
  await allSeeAll([a, b]);
  assert.equal(spawnSync('ip', ['address', 'add', '10.99.0.2/24', 'dev', 'under0']).status, 0);
  try {
    a.change({ host_ip: '10.99.0.2' });
    await allSeeAll([a, b]);
    await until(
      () => /10\.99\.0\.2:794[67]/.test(a.lastState?.message ?? ''),
      10_000,
      'it listens there',
      () => a.lastState,
    );
    await allSeeAll([a, b]);
  } finally {
    spawnSync('ip', ['address', 'delete', '10.99.0.2/24', 'dev', 'under0']);
  }
});

test('without Serf: a message that names it, again and again, and no crash', async () => {
  const path = process.env.PATH;
  process.env.PATH = '/nowhere';
  try {
    const stack = stacks.run(1);
    await until(
      () => stack.lastState?.ok === false,
      5000,
      'it says so',
      () => stack.events,
    );
    assert.match(stack.lastState!.message!, /^Serf cannot be started: spawn setpriv ENOENT; trying again/);
  } finally {
    process.env.PATH = path;
  }
});
