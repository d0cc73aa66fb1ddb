/** examples/etcd by its README's own words, on real Docker Engines: in the clear, then with user, password and TLS. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Authority } from '../etcd/certificates.ts';
import { eventually, importDebian, ok, useLab, writeInHost } from '../support/lab.ts';
import { commands } from '../support/readme.ts';
import {
  allReach,
  discoveryFile,
  down,
  exampleStack,
  inContainer,
  reaches,
  routesOf,
  type Stack,
} from '../support/stacks.ts';

const README = 'examples/etcd/README.md';
const FOLDER = '/root/examples/etcd';
/** Where the README's etcd runs: the first host. */
const ETCD_HOST = '10.77.0.1';
const PASSWORD = 'correct-horse';

useLab(2, async () => {
  // What the compose file would build, under the name that Compose gives it; no container here reaches a Debian mirror.
  await importDebian(1, 'docker-router-etcd-etcd', ['etcd-server', 'etcd-client']);
  for (const host of [1, 2]) {
    await ok(host, 'docker', 'tag', 'docker-router-service:latest', 'nginx:alpine');
    // A copy that can be written to, for the password and the certificate.
    await ok(host, 'sh', '-c', 'mkdir -p /root/examples && cp -r /repo/examples/. /root/examples/');
  }
});

const shell = (host: number, line: string) => ok(host, 'sh', '-c', `cd ${FOLDER} && ${line}`);
const [a, b] = (['a', 'b'] as const).map((letter, i) => ({
  ...exampleStack(letter, i + 1, { ETCD_HOST }),
  files: [`${FOLDER}/docker-compose.stack-${letter}.yml`],
})) as unknown as [Stack, Stack];

async function peersOfA(): Promise<string[]> {
  const { peers } = await discoveryFile(a);
  return peers.map(({ stack_id, status, source }) => `${stack_id} ${status} by ${source}`);
}

/** What Docker's health check says, without waiting for its interval. */
async function healthOf(stack: Stack): Promise<string> {
  const { stdout } = await inContainer(stack, 'discovery', '/usr/local/lib/docker-router/healthcheck');
  return stdout.trim();
}

test('the stacks find each other through the etcd of the example, which an operator can read', async () => {
  const [etcd] = commands(README, 'etcd');
  await shell(1, `${etcd} --wait`);
  const [upA, upB] = commands(README, 'stacks');
  await Promise.all([shell(1, `${upA} --wait`), shell(2, `${upB} --wait`)]);
  await allReach([a, b], 10);
  assert.deepEqual(await peersOfA(), ['stack-b active by etcd']);
  const [get] = commands(README, 'get');
  const lines = (await shell(1, get!.replace(' exec ', ' exec -T '))).split('\n');
  assert.deepEqual(
    lines.filter((_, i) => i % 2 === 0),
    ['/docker-router/discovery/stack-a/record', '/docker-router/discovery/stack-b/record'],
  );
  assert.equal(JSON.parse(lines[3]!).subnets[0], '172.31.0.0/24');
});

test('without etcd the stacks reach each other as before, and all is well by itself when it is back', async () => {
  const etcd = `ETCD_HOST=${ETCD_HOST} docker compose -f docker-compose.etcd.yml`;
  await shell(1, `${etcd} stop -t 3`);
  await eventually(40, async () => assert.deepEqual(await peersOfA(), ['stack-b stale by etcd']));
  assert.match(await healthOf(a), /^unhealthy: etcd: .*nothing listens there/);
  await reaches(a, [b], 3);
  await shell(1, `${etcd} start`);
  await eventually(40, async () => assert.deepEqual(await peersOfA(), ['stack-b active by etcd']));
  await eventually(10, async () => assert.equal(await healthOf(a), '1 peers'));
  await reaches(b, [a], 3);
});

test('a stack that goes down is unrouted at once', async () => {
  await down(b);
  await eventually(5, async () => assert.deepEqual(await routesOf(a), []));
  await down(a);
  await shell(1, `ETCD_HOST=${ETCD_HOST} docker compose -f docker-compose.etcd.yml down -v -t 3`);
});

test('with the role, the user, the password and the certificate that the README names', async () => {
  const authority = new Authority('etcd of the example');
  const server = authority.issue('server', `IP:${ETCD_HOST},IP:127.0.0.1`);
  await ok(1, 'mkdir', '-p', '/root/tls');
  for (const [name, path] of Object.entries({
    'ca.crt': authority.ca,
    'tls.crt': server.cert,
    'tls.key': server.key,
  })) {
    await writeInHost(1, `/root/tls/${name}`, readFileSync(path, 'utf8'));
  }
  await writeInHost(1, `${FOLDER}/tls.yml`, TLS);
  const etcd = `ETCD_HOST=${ETCD_HOST} docker compose -f docker-compose.etcd.yml -f tls.yml`;
  await shell(1, `${etcd} up -d --wait`);
  const ctl = (words: string, input = '') => shell(1, `printf '${input}' | ${etcd} exec -T etcd etcdctl ${words}`);
  for (const line of commands(README, 'role')) {
    const words = line.replace(/^etcdctl /, '');
    // It asks twice on a terminal; without one it is told to read the password once.
    await (words === 'user add docker-router' ? ctl(`${words} --interactive=false`, PASSWORD) : ctl(words));
  }
  await ctl('user add root --interactive=false', 'root');
  for (const words of ['user grant-role root root', 'auth enable']) await ctl(words);
  for (const [host, letter] of [
    [1, 'a'],
    [2, 'b'],
  ] as const) {
    await writeInHost(host, `${FOLDER}/etcd-password`, `${PASSWORD}\n`);
    await writeInHost(host, `${FOLDER}/etcd-ca.crt`, readFileSync(authority.ca, 'utf8'));
    const [rights] = commands(README, 'files');
    await shell(host, rights!);
    const [line] = commands(README, 'secure');
    await shell(host, line!.replace('etcd.example', ETCD_HOST).replace('stack-a', `stack-${letter}`));
  }
  for (const stack of [a, b]) await eventually(30, async () => assert.equal(await healthOf(stack), '1 peers'));
  await allReach([a, b], 10);
  assert.deepEqual(await peersOfA(), ['stack-b active by etcd']);
});

/** Gives the etcd of the example a certificate; its own client inside speaks TLS as well. */
const TLS = `services:
  etcd:
    command:
      - etcd
      - --data-dir=/data/etcd
      - --listen-client-urls=https://0.0.0.0:2379
      - --advertise-client-urls=https://${ETCD_HOST}:2379
      - --cert-file=/tls/tls.crt
      - --key-file=/tls/tls.key
    environment: { ETCDCTL_ENDPOINTS: "https://127.0.0.1:2379", ETCDCTL_CACERT: /tls/ca.crt }
    volumes: ["/root/tls:/tls:ro"]
`;
