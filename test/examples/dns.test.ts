/** examples/dns by its README's own words, on real Docker Engines: three hosts without common multicast, a stack on each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectTime, dropMulticast } from '../support/connect.ts';
import { eventually, importDebian, ok, useLab } from '../support/lab.ts';
import { commands } from '../support/readme.ts';
import { allReach, discoveryFile, type Stack } from '../support/stacks.ts';

const README = 'examples/dns/README.md';
const FOLDER = '/root/examples/dns';
const HOSTS = [1, 2, 3];
/** What is promised: all pairs are connected over TCP within DNS_INTERVAL (5 s unless set) and two more. */
const CONNECT_MS = 5000 + 2000;

useLab(HOSTS.length, async () => {
  // Under the name of the image that the example takes from a registry.
  await importDebian(1, 'internetsystemsconsortium/bind9:9.20', ['bind9', 'bind9-dnsutils', 'bind9-utils']);
  for (const host of HOSTS) {
    await ok(host, 'docker', 'tag', 'docker-router-service:latest', 'nginx:alpine');
    // A copy that can be written to, for the key.
    await ok(host, 'sh', '-c', 'mkdir -p /root/examples && cp -r /repo/examples/. /root/examples/');
  }
  await dropMulticast(HOSTS.length);
});

const shell = (host: number, line: string) => ok(host, 'sh', '-c', `cd ${FOLDER} && ${line}`);
const stacks = ['a', 'b', 'c'].map(
  (letter, i): Stack => ({
    name: `stack-${letter}`,
    host: i + 1,
    service: `test-${letter}`,
    files: [`${FOLDER}/docker-compose.stack-${letter}.yml`],
    env: { DNS_SERVER: '10.77.0.1' },
  }),
);

test('three stacks list themselves with the key and are connected over TCP within DNS_INTERVAL + 2 s', async (t) => {
  const [keygen, ...rights] = commands(README, 'key');
  // As the README says for hosts without BIND: by the image.
  const byImage = keygen!.replace(
    'tsig-keygen',
    'docker run --rm --entrypoint tsig-keygen internetsystemsconsortium/bind9:9.20',
  );
  await shell(1, byImage);
  const key = await shell(1, 'cat docker-router.key');
  for (const host of [2, 3]) await shell(host, `cat > docker-router.key <<'KEY'\n${key}\nKEY\n`);
  for (const host of HOSTS) for (const line of rights) await shell(host, line);
  for (const line of commands(README, 'names')) await shell(1, line);
  const third = 's/stack-b/stack-c/g; s/test-b/test-c/g; s/172\\.31\\./172.29./g';
  await shell(3, `sed '${third}' docker-compose.stack-b.yml > docker-compose.stack-c.yml`);
  const [a, b] = commands(README, 'stacks') as [string, string];
  const lines = [a, b, b.replace('stack-b', 'stack-c')];
  const took = await connectTime(stacks, () => Promise.all(lines.map((line, i) => shell(i + 1, line))));
  t.diagnostic(`connected ${took} ms after the last container was started`);
  assert.ok(took < CONNECT_MS, `${took} ms`);
  const file = await discoveryFile(stacks[0]!);
  assert.deepEqual(
    file.peers.map(({ stack_id, status }) => `${stack_id} ${status}`),
    ['stack-b active', 'stack-c active'],
  );
  const [ptr] = commands(README, 'dig');
  const inside = ptr!.replace(
    'dig @10.77.0.1',
    'docker compose -f docker-compose.names.yml exec -T names dig @127.0.0.1',
  );
  assert.match(await shell(1, inside), /stack-a\._docker-router[\s\S]*stack-b|stack-b\._docker-router[\s\S]*stack-a/);
});

test('a stack that goes down is off the list, and the name server can be replaced without anybody noticing', async () => {
  await shell(1, 'docker compose -f docker-compose.names.yml up -d --force-recreate');
  await allReach(stacks, 10);
  for (const [host, letter] of [
    [2, 'b'],
    [3, 'c'],
  ] as const)
    await shell(host, `DNS_SERVER=10.77.0.1 docker compose -f docker-compose.stack-${letter}.yml down -v -t 3`);
  await eventually(15, async () => assert.deepEqual((await discoveryFile(stacks[0]!)).peers, []));
});

test("with the operator's zone the stacks read and change nothing", async () => {
  await shell(1, 'DNS_SERVER=10.77.0.1 docker compose -f docker-compose.stack-a.yml down -v -t 3');
  await shell(1, 'docker compose -f docker-compose.names.yml down -v -t 3');
  await shell(
    1,
    'cp static/docker.example.zone bind/docker.example.zone && docker compose -f docker-compose.names.yml up -d',
  );
  const [up] = commands(README, 'static');
  await Promise.all([shell(1, `${up} --wait`), shell(2, `${up!.replace('stack-a', 'stack-b')} --wait`)]);
  await allReach(stacks.slice(0, 2), 10);
  const { peers } = await discoveryFile(stacks[0]!);
  assert.deepEqual(
    peers.map(({ stack_id, source, since }) => [stack_id, source, since]),
    [['stack-b', 'dns', 0]],
  );
});
