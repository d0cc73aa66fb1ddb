/**
 * From inside a service's container: what somebody who has broken into it can do to the router, to discovery and to the other stacks. Docker's
 * default capabilities, NET_RAW among them. What nothing stops is shown as well, so that docs/security.md does not promise too much.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/process/run.ts';
import { eventually, ok, useLab } from '../support/lab.ts';
import {
  addressOf,
  allReach,
  container,
  discoveryFile,
  execIn,
  inContainer,
  reaches,
  type Stack,
  up,
  writeStack,
} from '../support/stacks.ts';

const ENV = {
  ANNOUNCE_INTERVAL: '1s',
  PEER_TIMEOUT: '10s',
  METRICS_PORT: 'auto',
  DISCOVERY_KEYS: Buffer.alloc(32, 7).toString('base64'),
};
const LAB = fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url));
const ROUTER = `devices: [/dev/net/tun]
ports: ["51820-51821:51820-51821/udp"]
environment: { ENCRYPTION: "\${ENCRYPTION:-off}" }
`;
const GATEWAY = '172.27.0.2';
let x: Stack;
let y: Stack;

useLab(2, async () => {
  const victim =
    'victim: { image: docker-router-service }\nweak: { image: docker-router-service, cap_drop: [NET_RAW] }\n';
  x = await writeStack('broken-x', 1, { net: '172.27.0', env: ENV, services: victim, router: ROUTER });
  y = await writeStack('broken-y', 2, { net: '172.26.0', env: ENV, router: ROUTER });
  await Promise.all([x, y].map(up));
  await allReach([x, y], 20);
});

type Forgery = Readonly<Record<string, string | number>>;
const inX = (service: string) => ok(1, 'docker', 'inspect', '-f', '{{.State.Pid}}', container(x, service));

/** Sends these from the network of a container of x, with the capabilities that the container has: forge.py with the host's Python, since images have none. */
async function forge(service: string, forgeries: readonly Forgery[]) {
  const pid = await inX(service);
  const caps = /^CapBnd:\s+(\w+)$/m.exec(await ok(1, 'cat', `/proc/${pid}/status`))![1]!;
  const raw = (BigInt(`0x${caps}`) >> 13n) & 1n;
  const limited = ['setpriv', '--inh-caps=-all', `--bounding-set=-all${raw ? ',+net_raw' : ''}`];
  const argv = ['nsenter', `--net=/proc/${pid}/ns/net`, ...limited, 'python3', '/repo/test/support/forge.py'];
  return run([LAB, 'in', '1', ...argv], forgeries.map((one) => `${JSON.stringify(one)}\n`).join(''));
}
async function forged(service: string, ...forgeries: Forgery[]): Promise<void> {
  const { code, stderr } = await forge(service, forgeries);
  assert.equal(code, 0, stderr);
}

const macOf = (service: string) => execIn(x, service, 'cat', '/sys/class/net/eth0/address');

/** All that makes a router what it is, without counters and times. */
async function configuration(stack: Stack): Promise<string> {
  const commands = [
    'ip -4 -o address | sed s/valid_lft.*//',
    'ip -4 rule',
    'ip -4 route show table all',
    'ip -6 route',
    'ip neigh show nud permanent',
    'bridge fdb show dev vxlan0',
    'nft -s list ruleset',
    'cat /var/lib/docker-router/router.json',
  ];
  const text = await execIn(stack, 'router', 'sh', '-c', commands.join(' && '));
  return text.replace(/"(last_update|last_seen|updated|written)":\s*"[^"]*"/g, '');
}
/** Not whether a peer was heard in the last seconds, which the machine's other work decides too. */
const peersOf = async (stack: Stack) =>
  (await discoveryFile(stack)).peers.map(({ stack_id, reason, subnets, vxlan_endpoint }) => [
    stack_id,
    reason,
    subnets,
    vxlan_endpoint,
  ]);

/** Nothing of the router, of discovery and of the way between the stacks is another after `attack`. */
async function changesNothing(attack: () => Promise<void>): Promise<void> {
  const look = async () => [await configuration(x), await configuration(y), await peersOf(x), await peersOf(y)];
  const before = await look();
  await attack();
  assert.deepEqual(await look(), before);
  await reaches(x, [y], 5);
}

/** `proc_net(5)`: ADDRESS:PORT of each socket that listens, in the namespace of a container of x. */
async function listening(service: string, protocol: 'tcp' | 'udp'): Promise<string[]> {
  const text = await execIn(x, service, 'cat', `/proc/net/${protocol}`, `/proc/net/${protocol}6`);
  const rows = text.split('\n').map((line) => line.trim().split(/\s+/));
  const wanted = rows.filter((columns) => columns[3] === (protocol === 'tcp' ? '0A' : '07'));
  return wanted.map((columns) => {
    const [address, port] = columns[1]!.split(':');
    const bytes = address!.match(/../g)!.map((hex) => Number.parseInt(hex, 16));
    return `${bytes.reverse().join('.')}:${Number.parseInt(port!, 16)}`;
  });
}

test('a service has no right to change the network, and sees neither volume nor secret', async () => {
  const status = await execIn(x, 'victim', 'cat', '/proc/self/status');
  const caps = BigInt(`0x${/^CapEff:\s+(\w+)$/m.exec(status)![1]}`);
  assert.equal((caps >> 12n) & 1n, 0n, 'NET_ADMIN');
  assert.equal((caps >> 13n) & 1n, 1n, 'NET_RAW, or the tests below show less than they say');
  for (const path of ['/var/lib/docker-router', '/var/lib/docker-router-identity', '/run/secrets', '/run/netns'])
    assert.equal((await inContainer(x, 'victim', 'ls', '-A', path)).stdout, '', path);
  const env = await execIn(x, 'victim', 'env');
  assert.ok(!env.includes(ENV.DISCOVERY_KEYS));
});

test('what listens in the router: names, metrics and the answers to other routers', async () => {
  const own = await addressOf(x, 'router');
  const outer = (sockets: string[]) => sockets.filter((socket) => !socket.startsWith('127.'));
  assert.deepEqual(outer(await listening('router', 'tcp')).sort(), [`${GATEWAY}:53`, `${own}:9471`].sort());
  assert.deepEqual(outer(await listening('router', 'udp')).sort(), [`${GATEWAY}:4788`, `${GATEWAY}:53`]);
});

/** Sends to a port of `to` from a service and says how many answers there were. */
const asks = async (to: string, port: number, hex: string) =>
  Number(
    await execIn(
      x,
      'web',
      'node',
      '-e',
      `const s=require('dgram').createSocket('udp4');let n=0;s.on('message',(m)=>{n++;console.error(m.toString('hex'))});
      for(let i=0;i<5;i++)s.send(Buffer.from('${hex}','hex'),${port},'${to}');setTimeout(()=>{console.log(n);process.exit()},700)`,
    ),
  );
const dns = (flags: string, name: string) => {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return `1234${flags}000100000000000${''}0${Buffer.concat([...labels, Buffer.from([0])]).toString('hex')}00010001`;
};

test('names: questions are answered, updates and what else would change something are not done', () =>
  changesNothing(async () => {
    const question = dns('0100', 'web.broken-y.internal');
    assert.ok((await asks(GATEWAY, 53, question)) > 0, 'a question is answered');
    // RFC 2136: opcode 5 changes a zone; RFC 1996: opcode 4 says that one has changed.
    for (const flags of ['2800', '2000']) {
      const { stderr } = await inContainer(
        x,
        'web',
        'node',
        '-e',
        `const s=require('dgram').createSocket('udp4');s.on('message',(m)=>{console.error(m.toString('hex'));process.exit()});
        s.send(Buffer.from('${dns(flags, 'web.broken-y.internal')}','hex'),53,'${GATEWAY}');setTimeout(()=>process.exit(),700)`,
      );
      assert.match(stderr, /^$|^1234[a-f0-9]{3}4/, 'no answer, or NOTIMP');
    }
  }));

test('metrics: to read, and for nothing else', () =>
  changesNothing(async () => {
    const url = `http://${await addressOf(x, 'router')}:9471/metrics`;
    const script = `(async () => { for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'])
      console.log(method, (await fetch('${url}', { method, ...(method === 'GET' ? {} : { body: '{}' }) })).status); })()`;
    assert.equal(await execIn(x, 'web', 'node', '-e', script), 'GET 200\nPOST 405\nPUT 405\nDELETE 405\nPATCH 405');
  }));

test("what only other routers may ask is not answered, and discovery's ports are not there", () =>
  changesNothing(async () => {
    assert.equal(await asks(GATEWAY, 4788, '00'.repeat(40)), 0);
    const script = `const net=require('net');let left=0;const open=[];
      for (const host of ['10.77.0.1','172.27.0.1','${GATEWAY}']) for (const port of [4790,7373,7946,9471,9472]) { left++;
        const done=(is)=>{if(is)open.push(host+':'+port);s.destroy();if(--left===0)console.log(open.join(' '))};
        const s=net.connect({host,port,timeout:1500},()=>done(true)).on('error',()=>done(false)).on('timeout',()=>done(false)) }`;
    assert.equal(await execIn(x, 'web', 'node', '-e', script), '');
  }));

test('an ICMP redirect moves no route of the router, not even where its kernel was told to believe them', async () => {
  const [web, router] = await Promise.all(['web', 'router'].map((service) => addressOf(x, service)));
  const [webMac, routerMac] = await Promise.all(['web', 'router'].map(macOf));
  const inRouter = ['nsenter', `--net=/proc/${await inX('router')}/ns/net`];
  // As a host hands it down whose own setting it is.
  await ok(1, ...inRouter, 'sysctl', '-qw', 'net.ipv4.conf.all.accept_redirects=1');
  const beyond = '10.77.0.2';
  // The kernel follows a redirect to nobody whose MAC it does not know.
  await execIn(x, 'web', 'node', '-e', `require('net').connect(53, '${GATEWAY}').on('connect', () => process.exit())`);
  const way = () => execIn(x, 'router', 'ip', '-4', 'route', 'get', beyond);
  const before = await way();
  const redirect = { kind: 'redirect', source: '172.27.0.1', target: router!, beyond, via: web! };
  await changesNothing(() => forged('web', { ...redirect, count: 5, to_mac: routerMac!, from_mac: webMac! }));
  assert.equal((await way()).replace(/expires.*/, ''), before);
});

const LISTEN = `let n = 0; const end = () => { console.log(n); process.exit(0); };
  require('dgram').createSocket('udp4').on('message', () => ++n === 20 && end()).bind(9999, () => console.log('bound'));
  process.stdin.on('end', () => setTimeout(end, 2000)).resume()`;

/** How many datagrams to port 9999 of the service `web` of y arrive while `during` runs. */
async function arriving(during: () => Promise<unknown>): Promise<number> {
  const child = spawn(LAB, ['in', '2', 'docker', 'exec', '-i', container(y, 'web'), 'node', '-e', LISTEN], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let words = '';
  child.stdout.on('data', (chunk: Buffer) => {
    words += chunk;
  });
  // It ends by itself when it has heard all.
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.stdin.on('error', () => undefined);
  await eventually(20, async () => assert.match(words, /bound/));
  await during();
  child.stdin.end();
  await ended;
  return Number(words.trim().split('\n').at(-1));
}

/** VXLAN as the router of x would send it to y. */
async function vxlanToY(): Promise<Forgery> {
  const [own, theirs] = [(await discoveryFile(x)).self, (await discoveryFile(y)).self];
  const [inner_source, inner_target] = await Promise.all([addressOf(x), addressOf(y)]);
  const [own_mac, their_mac] = [String(own.vtep_mac), String(theirs.vtep_mac)];
  const [to, vxlan_port] = String(theirs.vxlan_endpoint).split(':');
  return {
    vni: 1000,
    own_mac,
    their_mac,
    inner_source,
    inner_target,
    port: 9999,
    to: to!,
    vxlan_port: Number(vxlan_port),
    count: 20,
  };
}

test('VXLAN that a service makes itself is dropped by its router', async () => {
  const packet = { ...(await vxlanToY()), kind: 'vxlan' };
  assert.equal(await arriving(() => forged('web', packet)), 0);
});

test("a source of another stack's is not believed on this stack's side", async () => {
  const [routerMac, webMac] = await Promise.all(['router', 'web'].map(macOf));
  const watch = ['nsenter', `--net=/proc/${await inX('router')}/ns/net`, 'tcpdump', '-Z', 'root', '-lnqti', 'vxlan0'];
  const child = spawn(LAB, ['in', '1', ...watch, 'udp', 'port', '9999'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let seen = '';
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk;
  });
  await new Promise((resolve) => child.stderr.once('data', resolve));
  // Names answers the routers of other stacks; the answer would go there.
  const question = { kind: 'frame_udp', target: GATEWAY, port: 53, hex: dns('0100', 'web.broken-x') };
  const from = { source: '172.26.0.2', to_mac: routerMac!, from_mac: webMac! };
  await changesNothing(() => forged('web', { ...question, ...from, count: 5 }));
  await sleep(500);
  child.kill('SIGTERM');
  await new Promise((resolve) => child.once('close', resolve));
  assert.equal(seen.trim(), '');
});

test('ARP: no peer can be taken over; neighbours of the stack can, unless NET_RAW is taken away', async () => {
  const [victim, router] = await Promise.all(['victim', 'router'].map((service) => addressOf(x, service)));
  const [webMac, victimMac, routerMac] = await Promise.all(['web', 'victim', 'router'].map(macOf));
  const says = { kind: 'arp', count: 3, from_mac: webMac! };
  const peer = { ...says, address: '172.26.0.2', is_at: webMac!, target: router!, to_mac: routerMac! };
  await changesNothing(() => forged('web', peer));

  const arp = () => execIn(x, 'victim', 'cat', '/proc/net/arp');
  await execIn(
    x,
    'victim',
    'node',
    '-e',
    `require('net').connect(53, '${GATEWAY}').on('connect', () => process.exit())`,
  );
  const gatewayMac = new RegExp(`^${GATEWAY} .* (\\S{17}) `, 'm').exec(await arp())![1]!;
  const gateway = { ...says, address: GATEWAY, target: victim!, to_mac: victimMac! };
  const weak = await forge('weak', [{ ...gateway, is_at: webMac! }]);
  assert.match(weak.stderr, /Operation not permitted/);
  assert.match(await arp(), new RegExp(gatewayMac));
  // For a second after an answer the kernel keeps to it (arp(7), locktime). Nothing stops this; docs/security.md says so.
  const believes = (mac: string) =>
    eventually(15, async () => {
      await forged('web', { ...gateway, is_at: mac });
      assert.match(await arp(), new RegExp(`^${GATEWAY} .* ${mac} `, 'm'));
    });
  await believes(webMac!);
  await believes(gatewayMac);
  await reaches({ ...x, service: 'victim' }, [y], 10);
});

test('VXLAN past the router, which takes NET_RAW, gets in where nothing is encrypted, and not where it is', async () => {
  const packet = { ...(await vxlanToY()), kind: 'frame_vxlan' };
  const find = "ip -o link show type bridge | grep -v docker0 | grep -o 'link/ether [^ ]*' | cut -c12-";
  const [outer_source, from_mac, to_mac] = [await addressOf(x), await macOf('web'), await ok(1, 'sh', '-c', find)];
  const past = { ...packet, outer_source, from_mac, to_mac };
  assert.equal(await arriving(() => forged('web', past)), 20, 'nothing stops this; docs/security.md says so');
  assert.match((await forge('weak', [past])).stderr, /Operation not permitted/);
  const [safeX, safeY] = [x, y].map((stack) => ({ ...stack, env: { ...stack.env, ENCRYPTION: 'required' } }));
  await Promise.all([safeX!, safeY!].map(up));
  await allReach([safeX!, safeY!], 30);
  assert.equal(await arriving(() => forged('web', past)), 0);
});
