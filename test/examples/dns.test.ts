/** examples/dns by its README's own words, on real Docker Engines. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/process/run.ts';
import { eventually, ok, useLab } from '../support/lab.ts';
import { commands } from '../support/readme.ts';
import { allReach, discoveryFile, type Stack } from '../support/stacks.ts';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const README = 'examples/dns/README.md';
const FOLDER = '/root/examples/dns';

/** Debian's BIND under the name of the image that the example takes from a registry. */
async function importBind(host: number): Promise<void> {
  const { code: made, stdout, stderr } = await run([path('../dns/bind-image.sh')], '', 300_000);
  assert.equal(made, 0, stderr);
  const child = spawn(path('../../scripts/lab.sh'), [
    'in',
    String(host),
    'docker',
    'import',
    '-',
    'internetsystemsconsortium/bind9:9.20',
  ]);
  createReadStream(stdout.trim()).pipe(child.stdin);
  const code = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(code, 0, 'docker import');
}

useLab(2, async () => {
  await importBind(1);
  for (const host of [1, 2]) {
    await ok(host, 'docker', 'tag', 'docker-router-service:latest', 'nginx:alpine');
    // A copy that can be written to, for the key.
    await ok(host, 'sh', '-c', 'mkdir -p /root/examples && cp -r /repo/examples/. /root/examples/');
  }
});

const shell = (host: number, line: string) => ok(host, 'sh', '-c', `cd ${FOLDER} && ${line}`);
const stacks = ['a', 'b'].map(
  (letter, i): Stack => ({
    name: `stack-${letter}`,
    host: i + 1,
    service: `test-${letter}`,
    files: [`${FOLDER}/docker-compose.stack-${letter}.yml`],
    env: { DNS_SERVER: '10.77.0.1' },
  }),
);

test('the stacks list themselves with the key and reach each other', async () => {
  const [keygen, ...rights] = commands(README, 'key');
  // As the README says for hosts without BIND: by the image.
  const byImage = keygen!.replace(
    'tsig-keygen',
    'docker run --rm --entrypoint tsig-keygen internetsystemsconsortium/bind9:9.20',
  );
  await shell(1, byImage);
  const key = await shell(1, 'cat docker-router.key');
  await ok(2, 'sh', '-c', `cat > ${FOLDER}/docker-router.key <<'KEY'\n${key}\nKEY\n`);
  for (const host of [1, 2]) for (const line of rights) await shell(host, line);
  for (const line of commands(README, 'names')) await shell(1, line);
  const [upA, upB] = commands(README, 'stacks');
  await Promise.all([shell(1, `${upA} --wait`), shell(2, `${upB} --wait`)]);
  await allReach(stacks, 10);
  const file = await discoveryFile(stacks[0]!);
  assert.deepEqual(
    file.peers.map(({ stack_id, status }) => `${stack_id} ${status}`),
    ['stack-b active'],
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
  await shell(2, 'DNS_SERVER=10.77.0.1 docker compose -f docker-compose.stack-b.yml down -v -t 3');
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
  await allReach(stacks, 10);
  const { peers } = await discoveryFile(stacks[0]!);
  assert.deepEqual(
    peers.map(({ stack_id, source, since }) => [stack_id, source, since]),
    [['stack-b', 'dns', 0]],
  );
});
