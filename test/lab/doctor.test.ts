/** Each thing that the doctor knows is broken once, for real, and the doctor names it; on a healthy lab it finds nothing. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { eventually, inHost, ok, useLab } from '../support/lab.ts';
import {
  compose,
  down,
  execIn,
  inContainer,
  type Stack,
  type StackSpec,
  tryCompose,
  up,
  writeStack,
} from '../support/stacks.ts';

const TIMES = { ANNOUNCE_INTERVAL: '1s', PEER_TIMEOUT: '5s' };
const PROBES = 'environment: { PROBE_INTERVAL: 1s }\n';
let a: Stack;
let b: Stack;

useLab(2, async () => {
  [a, b] = await Promise.all([
    writeStack('doc-a', 1, { net: '172.30.0', env: TIMES, router: PROBES }),
    writeStack('doc-b', 2, { net: '172.31.0', env: TIMES, router: PROBES }),
  ]);
  await Promise.all([up(a), up(b)]);
});

interface Diagnosis {
  readonly name: string;
  readonly findings: readonly { readonly level: string; readonly text: string; readonly remedy: string }[];
}

async function doctor(stack: Stack): Promise<string[]> {
  const { stdout, stderr } = await tryCompose(stack, 'exec', '-T', 'router', 'docker-router', 'doctor', '--json');
  assert.match(stdout, /^\[/, stderr);
  const diagnoses: Diagnosis[] = JSON.parse(stdout);
  return diagnoses.flatMap(({ name, findings }) => findings.map(({ text, remedy }) => `${name}: ${text} -> ${remedy}`));
}

/** The doctor of this stack finds exactly one thing, and says so. */
const finds = (stack: Stack, expected: RegExp) =>
  eventually(60, async () => {
    const found = await doctor(stack);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0]!, expected);
  });
const healthy = (stack: Stack) => eventually(60, async () => assert.deepEqual(await doctor(stack), []));

async function start(t: TestContext, name: string, host: number, spec: StackSpec): Promise<Stack> {
  const stack = await writeStack(name, host, { router: PROBES, ...spec, env: { ...TIMES, ...spec.env } });
  t.after(() => down(stack));
  await compose(stack, 'up', '-d');
  return stack;
}

test('on a healthy lab the doctor finds nothing', async () => {
  await Promise.all([healthy(a), healthy(b)]);
  const text = await execIn(a, 'router', 'docker-router', 'doctor');
  assert.match(text, /✓ way .*\n[\s\S]*\nnothing is wrong\s*$/);
});

test('status --watch shows the stacks again and again, until nobody looks any more', async () => {
  const line = '{ timeout 120 docker-router status --watch; echo "ended $?" >&2; } | grep -m 2 "doc-b  *ok "';
  const { stdout, stderr } = await inContainer(a, 'router', 'sh', '-c', line);
  assert.match(stdout, /^(. doc-b .*\n){2}$/);
  assert.equal(stderr, 'ended 0\n');
});

test('1. no capability', async () => {
  const { code, stdout } = await inHost(
    1,
    'docker',
    'run',
    '--rm',
    '--cap-drop',
    'ALL',
    'docker-router:latest',
    'doctor',
  );
  assert.equal(code, 1);
  assert.match(stdout, /✗ capability .*NET_ADMIN is missing\n.*cap_add: \[NET_ADMIN\]/);
  assert.match(stdout, /· gateway +not looked at: there is no router\.json/);
  assert.match(stdout, /· way +not looked at: there is no discovery\.json/);
});

test('2. no handle', async (t) => {
  const volumes = 'volumes: !override ["docker-router:/var/lib/docker-router"]\n';
  const stack = await start(t, 'doc-nohandle', 1, { net: '172.26.0', env: { VNI: '2' }, router: volumes });
  await finds(stack, /^handle: .*not mounted.* -> .*volumes: \["\/proc\/1\/ns\/net:\/run\/netns\/underlay:ro"\]/);
});

test('3. no forwarding', async (t) => {
  const sysctls = 'sysctls: !override ["net.ipv4.ip_forward=0"]\n';
  const stack = await start(t, 'doc-nofwd', 1, { net: '172.26.0', env: { VNI: '2' }, router: sysctls });
  await finds(stack, /^forwarding: .* -> .*sysctls: \[net\.ipv4\.ip_forward=1\]/);
});

test('4. the services do not use the router', async (t) => {
  const ipam = '{ subnet: 172.26.0.0/24, gateway: 172.26.0.1 }';
  const stack = await start(t, 'doc-nogw', 1, { net: '172.26.0', env: { VNI: '2' }, ipam });
  await finds(stack, /^gateway: .*aux_addresses: \{DefaultGatewayIPv4: 172\.26\.0\.2\}/);
});

test('5. overlapping subnets', async (t) => {
  const late = await start(t, 'doc-late', 2, { net: '172.30.0', subnet: '172.30.0.0/25' });
  await finds(a, /^subnets: stack doc-late on 10\.77\.0\.2: .*overlaps 172\.30\.0\.0\/24.* -> .*another subnet/);
  const found = await doctor(late);
  assert.ok(
    found.some((text) => /^subnets: this stack is rejected by the others: .*doc-a/.test(text)),
    found.join('\n'),
  );
});

test('6. UDP blocked one way', async () => {
  const rule = ['INPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP'];
  await ok(2, 'iptables', '-I', ...rule);
  await finds(a, /^way: packets of doc-b arrive here.* -> let UDP 4789 from 10\.77\.0\.1 in on 10\.77\.0\.2/);
  await finds(
    b,
    /^way: nothing of doc-a .*arrives here -> let UDP 4789 from 10\.77\.0\.1 in on this host, 10\.77\.0\.2/,
  );
  await ok(2, 'iptables', '-D', ...rule);
  await Promise.all([healthy(a), healthy(b)]);
});

test('7. a way that swallows large packets', async () => {
  const rule = ['INPUT', '-p', 'udp', '--dport', '4789', '-m', 'length', '--length', '1450:', '-j', 'DROP'];
  await ok(2, 'iptables', '-I', ...rule);
  await finds(a, /^MTU: small packets reach doc-b, packets of 1450 bytes do not.* -> .*VXLAN_MTU: 1350/);
  await ok(2, 'iptables', '-D', ...rule);
  await healthy(a);
});

test('8. checksums that were never filled in', async (t) => {
  // The router would put it right at its next full pass.
  const router = (port: number) =>
    `ports: ["${port}:${port}/udp"]\nenvironment: { UNDERLAY: published, VXLAN_PORT: "${port}", RESYNC_INTERVAL: 600s, PROBE_INTERVAL: 1s }\n`;
  const stack = await start(t, 'doc-sums', 1, { net: '172.26.0', env: { VNI: '2' }, router: router(4800) });
  await start(t, 'doc-proxy', 1, { net: '172.25.0', env: { VNI: '2' }, router: router(4801) });
  await eventually(60, async () =>
    assert.match(await execIn(stack, 'router', 'ethtool', '-k', 'vxlan0'), /^tx-checksumming: off/m),
  );
  await healthy(stack);
  await eventually(60, async () => {
    // Each time anew: a neighbour that was late and is heard again brings a full pass, which puts it right.
    await execIn(stack, 'router', 'ethtool', '-K', 'vxlan0', 'tx', 'on');
    const found = await doctor(stack);
    assert.match(found.join('\n'), /^checksums: .*TCP hangs -> .*ethtool -K vxlan0 tx off/m);
  });
});

test('9. a host that filters bridged traffic', async () => {
  await ok(1, 'sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1');
  await finds(a, /^bridge filter: .*remote clients -> .*bridge-nf-call-iptables=0/);
  await ok(1, 'sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0');
  await healthy(a);
});

test('10. a clock that is off by ten minutes', async (t) => {
  // All hosts of the lab have the machine's clock, so this router's is moved in its process.
  const shift = 'data:text/javascript,const%20now=Date.now;Date.now=()=>now()+600000';
  const router = `environment: { PROBE_INTERVAL: 1s, NODE_OPTIONS: "--import=${shift}" }\n`;
  await start(t, 'doc-clock', 2, { net: '172.26.0', router });
  await finds(a, /^clocks: the clock of doc-clock is (599|600|601) s ahead -> .*NTP/);
});

test('11. two stacks with one id', async (t) => {
  const twin = await start(t, 'doc-twin', 2, { net: '172.26.0', env: { STACK_ID: 'doc-a' } });
  await finds(a, /^stack ids: stack doc-a on 10\.77\.0\.2: .*already used by this stack -> .*STACK_ID/);
  const found = await doctor(twin);
  assert.ok(
    found.some((text) => /^stack ids: this stack is rejected .*10\.77\.0\.1/.test(text)),
    found.join('\n'),
  );
});

test('12. keys that the others have not', async (t) => {
  const discovery = 'environment: { DISCOVERY_KEYS: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" }\n';
  const stack = await start(t, 'doc-keys', 2, { net: '172.26.0', discovery });
  await finds(stack, /^keys: \d+ announcements were dropped: multicast not sealed.* -> .*DISCOVERY_KEYS/);
});
