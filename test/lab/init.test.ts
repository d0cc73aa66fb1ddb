/** `docker-router init` from the image, on compose files of many shapes, with the real Compose and running stacks. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { overlaps, parsePrefix } from '../../src/net/ipv4.ts';
import { REFUSED, SHAPES, type Shape } from '../support/init-fixtures.ts';
import { eventually, hostNumbers, inHost, ok, outside, useLab, writeInHost } from '../support/lab.ts';
import { block, commands } from '../support/readme.ts';
import { down, exampleStack, reaches, type Stack, up } from '../support/stacks.ts';

const ROOT = '/root/init';
const INIT = 'docker run --rm --network host -v "$PWD:/project" docker-router init';
const b = exampleStack('b', 2);

useLab(2, async () => {
  for (const host of hostNumbers(2)) {
    await ok(host, 'docker', 'tag', 'docker-router-service:latest', 'nginx:alpine');
    await ok(
      host,
      'sh',
      '-c',
      `rm -rf ${ROOT} && cp -r /repo/test/init/fixtures ${ROOT} && chown -R 1000:1000 ${ROOT}`,
    );
  }
  await up(b);
});

const shell = (host: number, folder: string, line: string) =>
  inHost(host, 'sh', '-c', `cd '${ROOT}/${folder}' && ${line}`);
async function shellOk(host: number, folder: string, line: string): Promise<string> {
  const { code, stdout, stderr } = await shell(host, folder, line);
  assert.equal(code, 0, `${line}: ${stderr}${stdout}`);
  return stdout;
}

interface Config {
  name: string;
  services: Record<string, { dns?: string[]; environment?: Record<string, string>; networks?: object; image?: string }>;
  networks: Record<string, { ipam: { config: Record<string, unknown>[] }; driver_opts?: Record<string, string> }>;
}

const words = (shape: Shape) => (shape.files ?? []).map((file) => `-f ${file}`).join(' ');

async function configOf(shape: Shape): Promise<Config> {
  return JSON.parse(await shellOk(1, shape.name, `docker compose ${words(shape)} --profile '*' config --format json`));
}

/** What Compose makes of the user's files and ours together. */
function checkConfig(shape: Shape, config: Config): void {
  const names = shape.names ?? { discovery: 'discovery', router: 'router' };
  assert.equal(config.name, shape.project);
  assert.equal(config.services[names.discovery]?.image, 'docker-router-discovery:latest');
  assert.equal(config.services[names.discovery]?.environment?.STACK_ID, shape.stackId ?? shape.project);
  assert.deepEqual(Object.keys(config.services[names.router]?.networks ?? {}), [shape.network]);
  const { ipam, driver_opts } = config.networks[shape.network]!;
  assert.equal(driver_opts?.['com.docker.network.driver.mtu'], shape.mtu ?? '1450');
  const entry = ipam.config[0]!;
  if (shape.ipam) assert.deepEqual(entry, shape.ipam);
  const gateway = (entry.aux_addresses as Record<string, string>).DefaultGatewayIPv4;
  assert.match(gateway ?? '', /^\d+\.\d+\.\d+\.\d+$/);
  assert.ok(
    !overlaps(parsePrefix(entry.subnet as string)!, parsePrefix('172.31.0.0/24')!),
    'not the subnet of stack-b',
  );
  for (const service of shape.connected) {
    const shared = config.services[service]!;
    const own = shape.ownDns?.[service];
    if (own) assert.deepEqual(shared.dns, own);
    else if (!('network_mode' in shared)) assert.equal(shared.dns?.[0], gateway, service);
  }
  for (const service of Object.keys(shape.left ?? {})) assert.equal(config.services[service]!.dns, undefined, service);
}

describe('the real Compose takes what init writes', { concurrency: false }, () => {
  for (const shape of SHAPES.filter(({ newer }) => !newer))
    test(shape.name, async () => {
      const sums = `find . -type f ! -name '${shape.target}' | sort | xargs cksum`;
      const before = await shellOk(1, shape.name, sums);
      const line = `${INIT} --listen 0 ${(shape.args ?? []).join(' ')}`;
      if (shape === SHAPES[0]) {
        const [dry] = commands('docs/init.md', 'dry-run');
        assert.match(await shellOk(1, shape.name, dry!), /^\+services:$/m);
        await assert.rejects(shellOk(1, shape.name, `test -e ${shape.target}`), 'a dry run writes nothing');
      }
      const said = await shellOk(1, shape.name, line);
      if (shape.files) assert.ok(said.includes(`docker compose ${words(shape)} up -d`), said);
      assert.equal(await shellOk(1, shape.name, `stat -c %u ${shape.target}`), '1000\n', "the folder's owner has it");
      checkConfig(shape, await configOf(shape));
      const written = await shellOk(1, shape.name, `cksum ${shape.target}`);
      assert.match(await shellOk(1, shape.name, line), /is up to date/);
      assert.equal(await shellOk(1, shape.name, `cksum ${shape.target}`), written);
      assert.equal(await shellOk(1, shape.name, sums), before, "the user's files are as they were");
    });

  for (const { name, says } of REFUSED)
    test(`${name} is refused in words`, async () => {
      const { code, stderr } = await shell(1, name, `${INIT} --listen 0`);
      assert.equal(code, 1);
      assert.match(stderr, says);
      assert.equal(await shellOk(1, name, 'ls *override* 2>/dev/null | wc -l'), '0\n');
    });
});

test('a file that was edited stays as it is, unless --force says otherwise', async () => {
  const [folder, target] = ['guestbook', 'docker-compose.override.yml'];
  await shellOk(1, folder, `sed -i 's/unless-stopped/always/' ${target}`);
  const again = await shell(1, folder, `${INIT} --listen 0`);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /was edited since init wrote it/);
  assert.match(await shellOk(1, folder, `${INIT} --listen 0 --force`), /^-.*always$/m);
});

test('without --network host it says what it cannot see; stack-b is heard with it, and its subnet refused', async () => {
  const blind = await shellOk(2, 'tools', 'docker run --rm -v "$PWD:/project" docker-router init --dry-run');
  assert.match(blind, /without --network host neither/);
  assert.match(blind, /project +tools /, "the folder's name on the host");
  assert.match(await shellOk(1, 'tools', `${INIT} --dry-run`), /1 other stack heard/);
  const taken = await shell(1, 'tools', `rm -f compose.override.yaml; ${INIT} --subnet 172.31.0.0/16`);
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /172\.31\.0\.0\/24, used by stack stack-b; choose another/);
});

test('README: from a compose file to the first answer from a stack on another host in three commands', async () => {
  const lines = commands('README.md', 'init');
  assert.equal(lines.length, 3);
  const [init, start, ask] = lines as [string, string, string];
  const folder = 'guestbook';
  await shellOk(1, folder, 'rm -f *.override.yml && sed -i s/postgres:16-alpine/nginx:alpine/ docker-compose.yml');
  // The lab's services have no curl: the same request by the client that they have.
  const client = (line: string) =>
    line.replace('exec', 'exec -T').replace(/curl (\S+)/, 'node /service/probe.mjs get $1 2');
  const began = performance.now();
  await shellOk(1, folder, init);
  await shellOk(1, folder, start);
  const answer = await eventually(30, () => shellOk(1, folder, client(ask)));
  const seconds = (performance.now() - began) / 1000;
  assert.match(answer, /^[0-9a-f]{12} to 10\./, 'stack-b saw the address of the service itself');
  process.stdout.write(`# three commands, from the first to the answer: ${seconds.toFixed(1)} s\n`);
});

const pageOn = (host: number) =>
  eventually(30, async () => {
    const { self } = JSON.parse(await ok(host, 'curl', '-sf', '-m', '3', 'http://localhost:8088/view.json'));
    assert.equal(self.stack, 'guestbook');
  });

/** docs/map.md: without the host's network. */
async function byOwnNetwork(): Promise<void> {
  await writeInHost(1, `${ROOT}/guestbook/map.yml`, block('docs/map.md', 'own-network'));
  const files = '-f docker-compose.yml -f docker-compose.override.yml -f map.yml';
  await shellOk(1, 'guestbook', `docker compose ${files} --profile map up -d map`);
  await pageOn(1);
  const networks =
    "docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' guestbook-map-1";
  assert.equal((await shellOk(1, 'guestbook', networks)).trim(), 'guestbook_map');
}

/** docs/map.md: by ssh, from the second host. */
async function fromElsewhere(): Promise<void> {
  await ok(1, 'sh', '-c', 'mkdir -p -m 700 /run/sshd /root/.ssh; ssh-keygen -A >/dev/null; /usr/sbin/sshd');
  await ok(2, 'sh', '-c', 'mkdir -p -m 700 .ssh; ssh-keygen -q -t ed25519 -N "" -f .ssh/id_ed25519');
  await writeInHost(2, '/root/.ssh/config', 'StrictHostKeyChecking accept-new\n');
  await writeInHost(1, '/root/.ssh/authorized_keys', await ok(2, 'cat', '.ssh/id_ed25519.pub'));
  const [line] = commands('docs/map.md', 'ssh');
  const lab = fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url));
  const words = line!.replace('HOST', '10.77.0.1').split(' ');
  // A shell on the other host, for as long as its input is open.
  const child = spawn(lab, ['in', '2', ...words], { stdio: ['pipe', 'ignore', 'ignore'] });
  try {
    await pageOn(2);
  } finally {
    child.stdin.end();
    await once(child, 'close');
  }
}

test('README: the map, for browsers on this host and for nobody else', async () => {
  const [start] = commands('README.md', 'map');
  await shellOk(1, 'guestbook', start!);
  const view = await eventually(30, async () => {
    const { peers, self } = JSON.parse(await ok(1, 'curl', '-sf', '-m', '3', 'http://localhost:8088/view.json'));
    assert.equal(self.stack, 'guestbook');
    assert.deepEqual(self.problems, []);
    return peers;
  });
  assert.match(JSON.stringify(view), /"stack":"stack-b","host":"10\.77\.0\.2"/);
  assert.notEqual((await outside('curl', '-s', '-m', '3', 'http://10.77.0.1:8088/')).code, 0);
  const capabilities = await shellOk(
    1,
    'guestbook',
    "docker compose exec -T map sh -c 'id -u; grep CapEff /proc/1/status'",
  );
  assert.match(capabilities, /^10001\s+CapEff:\s+0{16}$/m);
  await eventually(40, () => shellOk(1, 'guestbook', 'docker compose ps map | grep -q healthy'));
  await byOwnNetwork();
  await fromElsewhere();
  await shellOk(1, 'guestbook', "docker compose --profile '*' down -v -t 2");
});

/** A fixture that init has connected, as a running stack. */
function running(name: string, service: string, target: string, main: string): Stack {
  return { name, host: 1, service, files: [`${ROOT}/${name}/${main}`, `${ROOT}/${name}/${target}`], env: {} };
}

test('stacks of two shapes that init has connected answer from another host, and reach it', async () => {
  const stacks = [
    running('voting', 'worker', 'compose.override.yaml', 'compose.yaml'),
    running('My_Names', 'router', 'compose.override.yaml', 'compose.yaml'),
  ];
  for (const stack of stacks) {
    const named = { ...stack, name: stack.name.toLowerCase() };
    await up(named);
    await reaches(named, [b], 5);
    await reaches(b, [named], 5);
    await down(named);
  }
});
