/** Sealed and signed announcements between two hosts with Docker Engines: examples/secure, and what an attacker sees and can do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { packFlat } from '../../src/trust/compact.ts';
import { eventually, inHost, ok, useLab } from '../support/lab.ts';
import { commands } from '../support/readme.ts';
import {
  allReach,
  compose,
  container,
  discoveryFile,
  down,
  execIn,
  inContainer,
  logs,
  reaches,
  type Stack,
  up,
  writeStack,
} from '../support/stacks.ts';
import { transfer } from '../support/transfer.ts';

const FOLDER = '/root/examples/secure';
const KEYS = `${FOLDER}/discovery-keys`;
const TIMES = { ANNOUNCE_INTERVAL: '1s', PEER_TIMEOUT: '5s' };

function secure(letter: 'a' | 'b', host: number): Stack {
  const files = [`${FOLDER}/docker-compose.stack-${letter}.yml`, '/repo/test/lab/volume.yml'];
  return {
    name: `secure-${letter}`,
    host,
    service: 'web',
    files,
    env: { TEST_IMAGE: 'docker-router-service', ...TIMES },
  };
}

const a = secure('a', 1);
const b = secure('b', 2);
const both = [a, b];
const hosts = [1, 2];

const newKey = () => ok(1, 'openssl', 'rand', '-base64', '32');
/** In place, as README says: the file in the container is the same one. */
const writeKeys = (host: number, keys: readonly string[]) =>
  ok(host, 'sh', '-c', `printf '%s\\n' ${keys.map((key) => `'${key}'`).join(' ')} > ${KEYS}`);

let key = '';
useLab(2, async () => {
  for (const host of hosts) {
    await ok(
      host,
      'sh',
      '-c',
      'mkdir -p /root/examples && cp -r /repo/examples/secure /repo/examples/docker-router.yml /root/examples/',
    );
    await ok(host, 'docker', 'tag', 'docker-router-service:latest', 'nginx:alpine');
  }
  const [make, protect] = commands('examples/secure/README.md', 'secure-keys');
  await ok(1, 'sh', '-c', `cd ${FOLDER} && ${make} && ${protect}`);
  key = await ok(1, 'cat', KEYS);
  await writeKeys(2, [key]);
  await ok(2, 'sh', '-c', `cd ${FOLDER} && ${protect}`);
  await Promise.all(both.map(up));
});

const trust = (stack: Stack, ...words: string[]) => execIn(stack, 'discovery', 'docker-router', 'trust', ...words);
const peersOf = async (stack: Stack) =>
  Object.fromEntries((await discoveryFile(stack)).peers.map((peer) => [peer.stack_id, peer.status]));

test('two sealed stacks reach each other, and each knows the other by its fingerprint', async () => {
  await allReach(both, 5);
  assert.deepEqual([await peersOf(a), await peersOf(b)], [{ 'secure-b': 'active' }, { 'secure-a': 'active' }]);
  const [ofA, ofB] = [await trust(a, 'list'), await trust(b, 'list')];
  const own = (text: string) => /^\S+ {2}([0-9a-f]{32}) {2}this stack/.exec(text)?.[1];
  assert.match(ofA, new RegExp(`secure-b {2}${own(ofB)} {2}since`));
  assert.match(ofB, new RegExp(`secure-a {2}${own(ofA)} {2}since`));
  assert.match(await logs(a, 'discovery'), /announcements are sealed with key [0-9a-f]{8}; 1 open/);
});

/** What may not be read on the wire of a stack's record: each field as text, and as the bytes that stand for it. */
function fieldsOf(record: Record<string, unknown>): Buffer[] {
  const texts = Object.entries(record).flatMap(([name, value]) =>
    ['stack_id', 'subnets', 'gateway_ip', 'vtep_mac', 'instance'].includes(name) ? [value].flat().map(String) : [],
  );
  const packed = texts.map((text) => packFlat({ x: text }).subarray(5)).filter((bytes) => bytes.length > 3);
  return [...texts.map((text) => Buffer.from(text)), ...packed];
}

test('on the wire nothing of a sealed record can be read, and everything of one in clear', async () => {
  const clear = await writeStack('clear', 1, { net: '172.27.0', env: TIMES });
  await up(clear);
  try {
    const raw = await ok(
      2,
      'sh',
      '-c',
      "timeout -s INT 6 tcpdump -i eth0 -U -w - 'udp port 4790' 2>/dev/null | base64 -w0; true",
    );
    const capture = Buffer.from(raw, 'base64');
    assert.ok(capture.length > 3000, `${capture.length} bytes captured`);
    for (const field of fieldsOf((await discoveryFile(a)).self))
      assert.ok(!capture.includes(field), `${field.toString('hex')} (${field}) can be read`);
    for (const field of ['clear', '172.27.0.0/24', 'subnets'])
      assert.ok(capture.includes(field), `${field}: the capture shows nothing`);
    assert.deepEqual(await peersOf(a), { 'secure-b': 'active' }, 'what is in clear is dropped');
    await eventually(75, async () => {
      const file = (await discoveryFile(a)) as unknown as { dropped?: Record<string, number>; last_update: string };
      assert.ok((file.dropped?.['multicast not sealed datagram'] ?? 0) > 5, JSON.stringify(file));
    });
    assert.match(await logs(clear, 'discovery'), /no DISCOVERY_KEYS: whoever reaches this network/);
  } finally {
    await down(clear);
  }
});

const attacker = (host: number, ...words: string[]) =>
  ok(
    host,
    ...['docker', 'run', '--rm', '--network', 'host', '-v', '/repo/test/support:/attack:ro', '-v', '/root:/root'],
    ...['--entrypoint', 'node', 'docker-router-service', '/attack/attacker.mjs', `10.77.0.${host}`, ...words],
  );

test('10,000 replayed, forged, truncated, altered and clear datagrams each on the wire: nothing changes, memory stays', async () => {
  const memory = async () => {
    const pid = await ok(2, 'docker', 'exec', container(b, 'discovery'), 'pgrep', '-o', 'node');
    const text = await ok(2, 'docker', 'exec', container(b, 'discovery'), 'grep', 'VmRSS', `/proc/${pid}/status`);
    return Number(/(\d+) kB/.exec(text)?.[1]);
  };
  const before = { file: await discoveryFile(b), memory: await memory(), list: await trust(b, 'list') };
  assert.ok(Number(await attacker(1, '4', '10000')) > 5);
  const after = await discoveryFile(b);
  assert.deepEqual(
    after.peers.map(({ stack_id, status, subnets, instance }) => ({ stack_id, status, subnets, instance })),
    before.file.peers.map(({ stack_id, status, subnets, instance }) => ({ stack_id, status, subnets, instance })),
  );
  assert.equal(await trust(b, 'list'), before.list);
  await reaches(b, [a], 3);
  const grown = (await memory()) - before.memory;
  assert.ok(grown < 40_000, `${grown} kB more`);
  await eventually(75, async () => {
    const { dropped = {} } = (await discoveryFile(b)) as unknown as { dropped?: Record<string, number> };
    for (const kind of ['replayed', 'forged', 'malformed', 'not sealed'])
      assert.ok((dropped[`multicast ${kind} datagram`] ?? 0) > 1000, JSON.stringify(dropped));
  });
});

test('what was heard before a stack left cannot bring it back, not even after a restart of who hears it', async () => {
  await attacker(2, 'hold', '/root/heard.json', '3');
  await compose(a, 'stop', '-t', '3', 'discovery');
  // While its router goes on discovery leaves quietly: it is known until PEER_TIMEOUT, 5 s.
  await eventually(15, async () => assert.deepEqual(await peersOf(b), {}));
  await compose(b, 'restart', '-t', '3', 'discovery');
  await eventually(10, async () =>
    assert.match(await ok(2, 'docker', 'inspect', '-f', '{{.State.Running}}', container(b, 'discovery')), /true/),
  );
  assert.ok(Number(await attacker(2, 'replay', '/root/heard.json', '200')) > 1);
  assert.deepEqual(await peersOf(b), {});
  await up(a);
  await allReach(both, 5);
});

test('another with the key and a stack id in use is rejected with both fingerprints; trust forget lets it in', async () => {
  const impostor: Stack = {
    ...secure('b', 1),
    name: 'impostor',
    env: { ...a.env, STACK_ID: 'secure-b', COMPOSE_PROJECT_NAME: 'impostor' },
  };
  const fingerprint = async (stack: Stack) => /([0-9a-f]{32}) {2}this stack/.exec(await trust(stack, 'list'))![1]!;
  await compose(impostor, 'up', '-d', 'discovery');
  try {
    const [real, false_] = [await fingerprint(b), await eventually(10, () => fingerprint(impostor))];
    await eventually(10, async () => {
      const rows = (await discoveryFile(a)).peers;
      const rejected = rows.find(({ status }) => status === 'rejected');
      assert.ok(rejected?.reason?.includes(real) && rejected.reason.includes(false_), JSON.stringify(rows));
      assert.equal(rows.find(({ status }) => status === 'active')?.stack_id, 'secure-b');
    });
    await reaches(a, [b], 3);
    await compose(b, 'stop', '-t', '3', 'discovery');
    const [line] = commands('examples/secure/README.md', 'secure-forget');
    await ok(1, 'sh', '-c', `cd ${FOLDER} && ${line!.replace('exec ', 'exec -T ')}`);
    await eventually(10, async () => assert.match(await trust(a, 'list'), new RegExp(`secure-b {2}${false_}`)));
  } finally {
    await compose(impostor, 'down', '-v', '-t', '3');
  }
  await trust(a, 'forget', 'secure-b');
  await up(b);
  await allReach(both, 8);
});

test('keys change under running containers and a TCP transfer: OLD; OLD,NEW; NEW,OLD; NEW; no peer is lost, no stall over 1 s', async () => {
  const next = await newKey();
  const watch = execIn(
    a,
    'web',
    'node',
    '/service/probe.mjs',
    'watch',
    '34',
    `http://${await ok(2, 'docker', 'inspect', '-f', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', container(b, 'web'))}/`,
  );
  const marks = await Promise.all(both.map(async (stack) => (await logs(stack, 'discovery')).length));
  const started = await Promise.all(
    both.map(({ host, name }) => ok(host, 'docker', 'inspect', '-f', '{{.State.StartedAt}}', `${name}-discovery-1`)),
  );
  const news = async (index: number) => (await logs(both[index]!, 'discovery')).slice(marks[index]);
  const change = async () => {
    for (const [step, ring] of [[key, next], [next, key], [next]].entries()) {
      await Promise.all(hosts.map((host) => writeKeys(host, ring)));
      await eventually(15, async () => {
        for (const index of [0, 1]) assert.equal((await news(index)).match(/keys read again/g)?.length, step + 1);
      });
    }
    // What is sealed with the new key alone has been announced and heard, several times.
    await sleep(5000);
  };
  const { longestSilence, longestGap, bytes } = await transfer(a, b, 'under-a-change-of-keys', change);
  console.log(
    `group keys changed under a transfer of ${bytes} bytes: longest silence ${longestSilence} ms (${longestGap} with the turns that its ends did not get)`,
  );
  assert.ok(bytes > 100_000, `${bytes} bytes`);
  assert.ok(longestSilence < 1000, `silent for ${longestSilence} ms`);
  const [sent, lost] = (await watch).split(' ').map(Number);
  assert.ok(sent! > 100 && lost === 0, `${lost} of ${sent} lost`);
  for (const index of [0, 1]) {
    assert.doesNotMatch(await news(index), /left|silent|rejected/);
    assert.equal(
      await ok(
        both[index]!.host,
        'docker',
        'inspect',
        '-f',
        '{{.State.StartedAt}}',
        `${both[index]!.name}-discovery-1`,
      ),
      started[index],
    );
  }
  assert.deepEqual([await peersOf(a), await peersOf(b)], [{ 'secure-b': 'active' }, { 'secure-a': 'active' }]);
});

test('neither a service nor the router can read keys or identity, and nothing of them is in the shared volume', async () => {
  const pem = await execIn(a, 'discovery', 'cat', '/var/lib/docker-router-identity/identity.pem');
  const [secret] = (await ok(1, 'cat', KEYS)).split('\n');
  for (const service of ['web', 'router']) {
    for (const path of ['/var/lib/docker-router-identity/identity.pem', '/run/secrets/discovery-keys'])
      assert.notEqual((await inContainer(a, service, 'cat', path)).code, 0, `${service} ${path}`);
    const files = await inContainer(a, service, 'sh', '-c', 'cat /var/lib/docker-router/* /shared/* 2>/dev/null; env');
    assert.ok(files.stdout.length > 100);
    assert.ok(!files.stdout.includes(secret!) && !files.stdout.includes(pem.split('\n')[1]!), service);
  }
  assert.ok(!(await logs(a, 'discovery')).includes(secret!));
  const write = await inContainer(a, 'web', 'sh', '-c', 'echo {} > /shared/discovery.json');
  assert.notEqual(write.code, 0, 'the volume is read-only for services');
});

test('a service cannot reach discovery: what it sends to its host or to the group is not heard', async () => {
  const stack = JSON.stringify(
    JSON.stringify({ docker_router: 1, type: 'query', stack_id: 'evil', instance: '0123456789abcdef' }),
  );
  const send = (to: string) =>
    execIn(
      a,
      'web',
      'node',
      '-e',
      `const s=require('dgram').createSocket('udp4');let n=0;for(let i=0;i<50;i++)s.send(${stack},4790,'${to}',()=>{if(++n===50)s.close()})`,
    );
  const count = async () => {
    const { dropped = {} } = (await discoveryFile(a)) as unknown as { dropped?: Record<string, number> };
    return dropped['multicast not sealed datagram'] ?? 0;
  };
  const refresh = async () => {
    const before = (await discoveryFile(a)) as unknown as { last_update: string };
    await eventually(45, async () =>
      assert.notEqual(((await discoveryFile(a)) as unknown as { last_update: string }).last_update, before.last_update),
    );
  };
  await refresh();
  const before = await count();
  for (const to of ['10.77.0.1', '172.24.0.1', '239.1.1.1']) await send(to);
  await refresh();
  assert.equal(await count(), before);
});

test('discovery has no capability, a filter of system calls, and cannot do what it need not do', async () => {
  const status = await execIn(a, 'discovery', 'sh', '-c', 'cat /proc/$(pgrep -o node)/status');
  assert.match(status, /^Uid:\s+10001\s/m);
  for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb']) assert.match(status, new RegExp(`^Cap${set}:\\s+0{16}$`, 'm'));
  assert.match(status, /^NoNewPrivs:\s+1$/m);
  assert.match(status, /^Seccomp:\s+2$/m);
  // Each is allowed by Docker's own profile, so that the test can fail.
  const FORBIDDEN = ['mkfifo /dev/shm/fifo', 'ln -s x /dev/shm/link', 'ipcmk -M 1000', 'ionice -p 1'];
  for (const command of FORBIDDEN) {
    const allowed = await inHost(
      1,
      'docker',
      'run',
      '--rm',
      '--user',
      '10001',
      '--entrypoint',
      'sh',
      'docker-router-discovery',
      '-c',
      command,
    );
    assert.equal(allowed.code, 0, `${command} with Docker's profile: ${allowed.stderr}`);
    const refused = await inContainer(a, 'discovery', 'sh', '-c', command);
    assert.notEqual(refused.code, 0, command);
    assert.match(refused.stderr, /not permitted/, command);
  }
  assert.notEqual((await inContainer(a, 'discovery', 'sh', '-c', 'echo x > /x')).code, 0, 'read-only');
});

test("the router has NET_ADMIN and nothing else; no port is open but the group's and the tunnel's", async () => {
  const status = await execIn(a, 'router', 'sh', '-c', 'cat /proc/$(pgrep -o node)/status');
  assert.match(status, /^CapEff:\s+0000000000001000$/m);
  assert.match(status, /^CapBnd:\s+0000000000001000$/m);
  assert.match(status, /^NoNewPrivs:\s+1$/m);
  const sockets = async (...flags: string[]) => (await ok(1, 'ss', '-Hn', ...flags)).split('\n').filter(Boolean);
  const udp = (await sockets('-lup')).filter((line) => !line.includes('dhc')).map((line) => line.split(/\s+/)[3]);
  // VXLAN itself is inside WireGuard, and WireGuard has one port for now and one for the renewal of its key.
  const ipv4 = udp.filter((address) => !address?.startsWith('['));
  assert.deepEqual(ipv4.sort(), ['0.0.0.0:51820', '0.0.0.0:51821', '239.1.1.1:4790']);
  assert.deepEqual(
    (await sockets('-ltp')).filter((line) => /node|serf/.test(line)),
    [],
  );
});

test('gossip with the same profile of system calls, keys and identity', async () => {
  for (const host of hosts)
    await ok(
      host,
      ...[
        'docker',
        'run',
        '-d',
        '--name',
        'gossip',
        '--network',
        'host',
        '--user',
        '10001',
        '--read-only',
        '--cap-drop',
        'ALL',
      ],
      ...['--security-opt', 'no-new-privileges', '--security-opt', `seccomp=${FOLDER}/seccomp.json`],
      ...['-v', 'gossip:/var/lib/docker-router', '-v', 'gossip-identity:/var/lib/docker-router-identity'],
      ...['-v', `${KEYS}:/run/keys:ro`, '-e', 'DISCOVERY_KEYS_FILE=/run/keys'],
      ...[
        '-e',
        'IDENTITY_DIR=/var/lib/docker-router-identity',
        '-e',
        'DISCOVERY_MODE=gossip',
        '-e',
        'GOSSIP_SEEDS=10.77.0.1,10.77.0.2',
      ],
      ...['-e', `STACK_ID=gossip-${host}`, '-e', 'VNI=7', 'docker-router-discovery'],
    );
  try {
    await eventually(20, async () => {
      const text = await ok(1, 'docker', 'exec', 'gossip', 'cat', '/var/lib/docker-router/discovery.json');
      assert.equal(JSON.parse(text).peers[0]?.stack_id, 'gossip-2', text);
    });
    const tags = await ok(1, 'docker', 'exec', 'gossip', 'serf', 'members', '-format', 'json');
    assert.ok(!tags.includes('gossip-'), tags);
  } finally {
    for (const host of hosts) {
      await inHost(host, 'docker', 'rm', '-f', 'gossip');
      await inHost(host, 'docker', 'volume', 'rm', 'gossip', 'gossip-identity');
    }
  }
});

test('examples/secure: started and looked at as its README says', async () => {
  await down(a);
  const [start] = commands('examples/secure/README.md', 'secure-up');
  await ok(1, 'sh', '-c', `cd ${FOLDER} && ${start}`);
  const [list] = commands('examples/secure/README.md', 'secure-list');
  await trust(b, 'forget', 'secure-a');
  await eventually(35, async () =>
    assert.match(
      await ok(1, 'sh', '-c', `cd ${FOLDER} && ${list!.replace('exec ', 'exec -T ')}`),
      /this stack\nsecure-b {2}[0-9a-f]{32}/,
    ),
  );
  await Promise.all(both.map(down));
});
