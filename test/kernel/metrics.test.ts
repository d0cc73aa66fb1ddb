/** Metrics of real daemons over real HTTP: two stacks of one host side by side, and who is not answered. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stopDaemon } from '../../src/embedded/daemons.ts';
import { down, up } from '../../src/embedded/embedded.ts';
import { inside } from '../../src/embedded/namespaces.ts';
import { PROBE_PORT } from '../../src/embedded/paths.ts';
import {
  hostAddress,
  hostNamespace,
  quickstartTopology,
  type Stack,
  serviceNamespace,
  stackAddresses,
  type Topology,
} from '../../src/embedded/topology.ts';
import { run } from '../../src/process/run.ts';
import { parseExposition, type Series, sampleOf } from '../support/exposition.ts';
import { whenInterrupted } from '../support/interrupted.ts';

const PORT = 9471;
const ON = { METRICS_PORT: 'auto' };
/** The third one, stack-b, has metrics off, as is the default. */
const topology: Topology = {
  ...quickstartTopology(`mx${process.pid % 1_000_000}`, { PROBE_INTERVAL: '500ms' }),
  stacks: quickstartTopology('x').stacks.map((stack) =>
    stack.name === 'stack-b' ? stack : { ...stack, environment: { discovery: ON, router: ON } },
  ),
};
const [a, b, c] = topology.stacks as [Stack, Stack, Stack];
const inHost = (host: string) => hostNamespace(topology, host);
const inService = (stack: Stack) => serviceNamespace(topology, stack);
const routerOf = (stack: Stack) => `http://${stackAddresses(stack).router}:${PORT}`;

interface Answer {
  readonly status: number;
  readonly body: string;
}
const CLIENT = `
const [url, host] = process.argv.slice(1);
const request = require('node:http').get(url, { timeout: 3000, headers: host ? { host } : {} }, (response) => {
  let body = '';
  response.on('data', (chunk) => { body += chunk; });
  response.on('end', () => console.log(JSON.stringify({ status: response.statusCode, body })));
});
request.on('timeout', () => request.destroy(new Error('timeout')));
request.on('error', () => process.exit(7));
`;

/** undefined when there was no HTTP answer at all. */
async function get(namespace: string, url: string, ...host: string[]): Promise<Answer | undefined> {
  const { code, stdout } = await run(inside(namespace, [process.execPath, '-e', CLIENT, url, ...host]) as [string]);
  return code === 0 ? JSON.parse(stdout) : undefined;
}

/** @throws when a page is not as the format wants it. */
async function scrape(namespace: string, url: string): Promise<Series[]> {
  const answer = await get(namespace, `${url}/metrics`);
  return answer?.status === 200 ? parseExposition(answer.body) : [];
}

async function eventually(words: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 90_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within 90 s: ${words}`);
    await sleep(300);
  }
}

before(() => up(topology));
const remove = () => down(topology.prefix);
after(remove);
whenInterrupted(remove);

test("a service scrapes its stack's router: both others are there, measured through the tunnel", async () => {
  let series: Series[] = [];
  await eventually('both peers are ok', async () => {
    series = await scrape(inService(a), routerOf(a));
    return sampleOf(series, 'docker_router_peers', { stack: 'stack-a', condition: 'ok' }) === 2;
  });
  for (const peer of ['stack-b', 'stack-c']) {
    const rtt = sampleOf(series, 'docker_router_peer_round_trip_seconds', { peer });
    assert.ok(rtt !== undefined && rtt > 0 && rtt < 3, `round trip ${rtt} s`);
    assert.equal(sampleOf(series, 'docker_router_peer_reachable', { peer }), 1);
    assert.ok(sampleOf(series, 'docker_router_peer_received_bytes_total', { peer })! > 0);
  }
  assert.equal(sampleOf(series, 'docker_router_routes'), 2);
  assert.ok(sampleOf(series, 'docker_router_kernel_changes_total')! > 0);
  assert.ok(sampleOf(series, 'docker_router_passes_total', { result: 'ok' })! > 0);
  const age =
    Date.now() / 1000 - sampleOf(series, 'docker_router_file_last_write_timestamp_seconds', { file: 'status.json' })!;
  assert.ok(Math.abs(age) < 60, `status.json is ${age} s old`);
});

test('the two discoveries of one host share its loopback address, each on a port of its own', async () => {
  const found = new Map<string, number>();
  for (const port of [PORT, PORT + 1]) {
    const series = await scrape(inHost('host-1'), `http://127.0.0.1:${port}`);
    const info = series.find(({ name }) => name === 'docker_router_discovery_build_info');
    found.set(info?.labels.stack ?? 'nobody', sampleOf(series, 'docker_router_discovery_peers', { status: 'active' })!);
    assert.equal(sampleOf(series, 'docker_router_discovery_source_up', { source: 'multicast' }), 1);
  }
  assert.deepEqual([...found].sort(), [
    ['stack-a', 2],
    ['stack-c', 2],
  ]);
});

test('/healthz of both, and nothing else is there', async () => {
  await eventually('both are healthy', async () => {
    const answers = [
      await get(inService(a), `${routerOf(a)}/healthz`),
      await get(inHost('host-1'), `http://localhost:${PORT}/healthz`),
    ];
    return answers.every((answer) => answer?.status === 200 && answer.body.startsWith('ok: '));
  });
  assert.equal((await get(inService(a), `${routerOf(a)}/`))?.status, 404);
  const asked = await get(inHost('host-1'), `http://127.0.0.1:${PORT}/metrics`, 'attacker.example');
  assert.equal(asked?.status, 421, 'a page elsewhere whose name leads to the loopback address');
});

test('off is the default: nothing listens', async () => {
  assert.equal(await get(inService(b), `${routerOf(b)}/healthz`), undefined);
  assert.equal(await get(inHost('host-2'), `http://127.0.0.1:${PORT}/healthz`), undefined);
});

test('what comes over the tunnel, or from the network, is not served', async () => {
  // The way there is open: the service beside the router answers, and the host reaches the router from its bridge.
  for (const other of [b, c]) {
    const service = `http://${stackAddresses(a).service}:${PROBE_PORT}/`;
    assert.equal((await get(inService(other), service))?.status, 200, `${other.name} reaches the service`);
    for (const address of [stackAddresses(a).router, stackAddresses(a).gateway])
      assert.equal(
        await get(inService(other), `http://${address}:${PORT}/healthz`),
        undefined,
        `${other.name} ${address}`,
      );
  }
  assert.equal((await get(inHost('host-1'), `${routerOf(a)}/healthz`))?.status, 200);
  const host = hostAddress(topology, 'host-1');
  assert.equal(await get(inHost('host-2'), `http://${host}:${PORT}/healthz`), undefined);
});

test('without discovery the router still answers, and a stop frees the port', async () => {
  await stopDaemon(topology, c, 'discovery');
  await eventually('the port is free', async () => {
    const left = await Promise.all(
      [PORT, PORT + 1].map((port) => get(inHost('host-1'), `http://127.0.0.1:${port}/healthz`)),
    );
    return left.filter((answer) => answer !== undefined).length === 1;
  });
  assert.equal((await get(inService(c), `${routerOf(c)}/healthz`))?.status, 200);
});
