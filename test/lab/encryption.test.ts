/** Traffic between hosts inside WireGuard (wireguard-go where the kernel has none): what is on the wire, and what gets in. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { eventually, ok, outside, useLab } from '../support/lab.ts';
import {
  addressOf,
  allReach,
  compose,
  discoveryFile,
  execIn,
  inContainer,
  logs,
  type Stack,
  up,
  writeStack,
} from '../support/stacks.ts';
import { type Transfer, transfer } from '../support/transfer.ts';

const PAYLOAD = 'a-known-payload-that-nobody-else-shall-read';
const TIMES = { ANNOUNCE_INTERVAL: '1s', PEER_TIMEOUT: '5s' };
// One key for 10 s, the shortest that is allowed: renewals happen while the test looks.
const ROUTER = `devices: [/dev/net/tun]
ports: ["51820-51821:51820-51821/udp"]
environment: { ENCRYPTION: "\${ENCRYPTION:-off}", WG_KEY_LIFETIME: "\${LIFETIME:-24h}" }
`;
let x: Stack;
let y: Stack;

useLab(2, async () => {
  x = await writeStack('wire-x', 1, { net: '172.27.0', env: TIMES, router: ROUTER });
  y = await writeStack('wire-y', 2, { net: '172.26.0', env: TIMES, router: ROUTER });
  await Promise.all([x, y].map(up));
});

const withEnv = (stack: Stack, env: Record<string, string>): Stack => ({ ...stack, env: { ...stack.env, ...env } });
const encrypted = (stack: Stack, lifetime = '24h') => withEnv(stack, { ENCRYPTION: 'required', LIFETIME: lifetime });
const LAB = fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url));
const CAPTURE = '/tmp/capture';

// -Z: as another user it would not end with lab.sh.
/** What is on host 1's cable while `during` runs: how often the payload stands in it, and how many packets of WireGuard there were. */
async function onTheWire(during: () => Promise<unknown>): Promise<{ clear: number; wireguard: number }> {
  const child = spawn(
    LAB,
    ['outside', 'tcpdump', '-Z', 'root', '-i', 'host1', '-U', '--immediate-mode', '-s', '0', '-w', CAPTURE],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  await new Promise((resolve) => child.stderr.once('data', resolve));
  try {
    await during();
  } finally {
    await new Promise((resolve) => setTimeout(resolve, 300));
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('close', resolve));
  }
  const clear = await outside('sh', '-c', `grep -aob '${PAYLOAD}' ${CAPTURE} | wc -l`);
  const packets = await outside('sh', '-c', `tcpdump -nr ${CAPTURE} 'udp portrange 51820-51821' 2>/dev/null | wc -l`);
  return { clear: Number(clear.stdout), wireguard: Number(packets.stdout) };
}

/** Of each thread of each wireguard-go in a router's container: `SCHED_BATCH`, or what else it is. */
async function policies(stack: Stack): Promise<string[]> {
  const script = `for p in /proc/[0-9]*; do if [ "$(cat $p/comm)" = wireguard-go ]; then chrt -a -p "\${p#/proc/}"; fi; done`;
  const lines = await execIn(stack, 'router', 'sh', '-c', script);
  return [...lines.matchAll(/policy: (\S+)/g)].map(([, policy]) => policy!);
}

const ask = async (from: Stack, to: string) =>
  inContainer(from, 'web', 'node', '/service/probe.mjs', 'get', `http://${to}/?${PAYLOAD}`, '3');
const routerFile = async (stack: Stack) =>
  JSON.parse(await execIn(stack, 'web', 'cat', '/shared/router.json')) as {
    wg_public_key?: string;
    wg_other_public_key?: string;
    mtu: number;
    encryption?: { mode: string; engine: string };
    problems: { message: string }[];
  };

/** VXLAN from a host that is no member, with the right VNI, MACs and addresses. Returns how many of 20 reached the service. */
async function injected(): Promise<number> {
  const listen = `let n = 0; require('dgram').createSocket('udp4').on('message', () => n++).bind(9999, () => console.log('bound'));
    setTimeout(() => { console.log(n); process.exit(0); }, 4000)`;
  const heard = execIn(y, 'web', 'node', '-e', listen);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const [from, to] = await Promise.all([addressOf(x), addressOf(y)]);
  const macs = (await discoveryFile(y)).self.vtep_mac;
  const theirs = (await discoveryFile(x)).self.vtep_mac;
  const script = `import socket, struct
mac = lambda text: bytes.fromhex(text.replace(':', ''))
udp = struct.pack('!HHHH', 9999, 9999, 8 + 4, 0) + b'evil'
ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton('${from}'), socket.inet_aton('${to}'))
words = struct.unpack('!10H', ip)
total = sum(words); total = (total & 0xffff) + (total >> 16); total = (total & 0xffff) + (total >> 16)
ip = ip[:10] + struct.pack('!H', ~total & 0xffff) + ip[12:]
frame = struct.pack('!II', 0x08000000, 1000 << 8) + mac('${macs}') + mac('${theirs}') + b'\\x08\\x00' + ip + udp
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(20):
    for port in (4789, 51820, 51821): s.sendto(frame, ('10.77.0.2', port))`;
  const sent = await outside('python3', '-c', script);
  assert.equal(sent.code, 0, sent.stderr);
  return Number((await heard).split('\n').at(-1));
}

test('without encryption the payload is on the wire, and VXLAN of a stranger gets in: both tests below can fail', async () => {
  await allReach([x, y], 10);
  const address = await addressOf(y);
  const { clear } = await onTheWire(async () => assert.equal((await ask(x, address)).code, 0));
  assert.ok(clear > 0);
  assert.equal(await injected(), 20);
});

test('required: not a byte in clear, from the first start on', async () => {
  const wire = await onTheWire(async () => {
    await compose(encrypted(y), 'up', '-d');
    await compose(encrypted(x), 'up', '-d');
    // From before the first key until it works, and then on.
    await eventually(30, async () => assert.equal((await ask(x, await addressOf(y))).code, 0));
    await Promise.all([up(encrypted(x)), up(encrypted(y))]);
    assert.equal((await ask(x, await addressOf(y))).code, 0);
    const got = await execIn(
      x,
      'web',
      'node',
      '/service/probe.mjs',
      'get',
      `http://${await addressOf(y)}/bytes/10000000`,
      '30',
    );
    assert.equal(got, '10000000');
  });
  assert.equal(wire.clear, 0);
  // 10 MB; the capture sees up to 64 KB in one, as the engine hands them to the kernel.
  assert.ok(wire.wireguard > 150, `${wire.wireguard} packets of WireGuard`);
  const file = await routerFile(x);
  assert.equal(file.encryption?.mode, 'required');
  assert.match(
    await logs(x, 'router'),
    file.encryption?.engine === 'kernel' ? /WireGuard of the kernel/ : /wireguard-go, since/,
  );
  const batch = file.encryption?.engine === 'kernel' ? [] : ['SCHED_BATCH'];
  assert.deepEqual([...new Set(await policies(x))], batch);
  assert.equal(file.mtu, 1440);
  assert.notEqual((await inContainer(x, 'router', 'ip', 'link', 'show', 'vxlan0')).code, 0);
});

test('VXLAN of a stranger with the right VNI and MACs is dropped', async () => {
  assert.equal(await injected(), 0);
});

test('wireguard-go and the router process die: nothing in clear meanwhile, and it comes back', async () => {
  const address = await addressOf(y);
  const asking = async () => {
    for (let i = 0; i < 6; i += 1) await ask(x, address);
  };
  const { clear } = await onTheWire(async () => {
    await execIn(x, 'router', 'pkill', '-KILL', 'wireguard-go').catch(() => undefined);
    await asking();
    await eventually(20, async () => assert.equal((await ask(x, address)).code, 0));
    await execIn(x, 'router', 'pkill', '-KILL', '-f', 'docker-router.mjs').catch(() => undefined);
    await asking();
    await eventually(20, async () => assert.equal((await ask(x, address)).code, 0));
    await compose(y, 'kill', 'discovery', 'router');
    await asking();
  });
  assert.equal(clear, 0);
  await eventually(20, async () => assert.deepEqual((await discoveryFile(x)).peers, []));
  const gone = await onTheWire(asking);
  assert.equal(gone.clear, 0, 'what is meant for a stack that has gone does not leave by the default route');
  await up(encrypted(y));
  await allReach([x, y], 20);
});

test('a peer without a key: nothing is sent, and the state says why', async () => {
  const bare = await writeStack('wire-bare', 2, { net: '172.25.0', env: TIMES });
  await up(bare);
  const address = await addressOf(bare);
  const { clear } = await onTheWire(async () => {
    await eventually(15, async () =>
      assert.match(
        (await routerFile(x)).problems.map(({ message }) => message).join(),
        /wire-bare: it has no WireGuard key.*ENCRYPTION=wireguard/,
      ),
    );
    assert.notEqual((await ask(x, address)).code, 0);
  });
  assert.equal(clear, 0);
  assert.match(await logs(bare, 'router'), /wire-x: it encrypts its traffic and this stack does not/);
  await compose(bare, 'down', '-v', '-t', '2');
});

test('keys are renewed under a running TCP transfer: no reset, no stall over 1 s, and no byte in clear', async () => {
  await Promise.all([x, y].map((stack) => up(encrypted(stack, '10s'))));
  await allReach([x, y], 30);
  const before = [await routerFile(x), await routerFile(y)];
  let seen: Transfer | undefined;
  const { clear } = await onTheWire(async () => {
    seen = await transfer(x, y, PAYLOAD, () => sleep(25_000));
  });
  const { longestSilence, longestGap, bytes } = seen!;
  const after = [await routerFile(x), await routerFile(y)];
  const keys = (file: (typeof after)[number]) => [file.wg_public_key, file.wg_other_public_key];
  for (const [index, file] of after.entries())
    for (const key of keys(file)) assert.ok(key && !keys(before[index]!).includes(key), 'both slots have a new key');
  console.log(
    `renewals under a transfer of ${bytes} bytes: longest silence ${longestSilence} ms (${longestGap} with the turns that its ends did not get)`,
  );
  assert.ok(bytes > 1_000_000, `${bytes} bytes`);
  assert.ok(longestSilence < 1000, `silent for ${longestSilence} ms`);
  assert.equal(clear, 0);
});

test('two encrypted stacks on one host reach each other', async () => {
  const near = await writeStack('wire-near', 1, {
    net: '172.24.0',
    env: TIMES,
    router:
      'devices: [/dev/net/tun]\nports: ["51830-51831:51830-51831/udp"]\nenvironment: { ENCRYPTION: required, WG_PORT: "51830" }\n',
  });
  await Promise.all([up(near), up(encrypted(x))]);
  await allReach([x, near, y], 30);
  const got = await execIn(
    x,
    'web',
    'node',
    '/service/probe.mjs',
    'get',
    `http://${await addressOf(near)}/bytes/3000000`,
    '30',
  );
  assert.equal(got, '3000000');
  await compose(near, 'down', '-v', '-t', '2');
});

test('keys are in no file of the shared volume, and no argument of a process', async () => {
  const [key] = (await execIn(x, 'router', 'sh', '-c', 'wg show all private-key'))
    .split('\n')
    .map((line) => line.split('\t')[1]!);
  assert.match(key!, /^[A-Za-z0-9+/]{43}=$/);
  const found = await inContainer(
    x,
    'router',
    'grep',
    '-rlF',
    key!,
    '/var/lib/docker-router',
    '/run',
    '/tmp',
    '/dev/shm',
  );
  assert.equal(found.stdout, '');
  assert.ok(!(await ok(1, 'docker', 'inspect', 'wire-x-router-1')).includes(key!));
});
