/** The parts of docker-router init: variables, files, routes, the command as a process. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { chooseSubnet, collision } from '../../src/cli/init/choose-subnet.ts';
import { findFiles } from '../../src/cli/init/find-files.ts';
import { interpolate } from '../../src/cli/init/interpolate.ts';
import { loadProject, normalName } from '../../src/cli/init/load-project.ts';
import { parseCompose } from '../../src/cli/init/read-file.ts';
import { folderName, nameServers, parseProcRoutes, parseRoutes, subnetsIn } from '../../src/cli/init/surroundings.ts';
import { formatPrefix, prefixOf } from '../../src/net/ipv4.ts';
import { FIXTURES } from '../support/init-fixtures.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/init.sh', import.meta.url));

function workspace(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'docker-router-init-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('variables as Compose has them', () => {
  const values = { A: 'a', EMPTY: '', NET: '10.1' };
  // §: a dollar.
  const cases: [string, string][] = [
    ['§A-§{A}', 'a-a'],
    ['§{EMPTY:-x}§{EMPTY-y}§{NONE:-z}§{NONE-w}', 'xzw'],
    ['§{A:+yes}§{EMPTY:+no}§{NONE+no}', 'yes'],
    ['§{NONE}', ''],
    ['§{NONE:-§{NET:-172.22}}.0/24', '10.1.0/24'],
    ['§§A costs §§5', '§A costs §5'],
    ['§{A:?must be set}', 'a'],
  ];
  for (const [text, expected] of cases)
    assert.equal(interpolate(text.replaceAll('§', '$'), values), expected.replaceAll('§', '$'), text);
  fc.assert(fc.property(fc.string(), (text) => typeof interpolate(text, values) === 'string'));
});

test('a file that is none says where and why', () => {
  const bad: [string, RegExp][] = [
    ['services: [', /Error: c\.yaml is not YAML: .* at line 1, column/],
    ['services: { web: { networks: 5 } }', /Error: c\.yaml: services\.web\.networks: /],
    ['networks: { a: { ipam: { config: x } } }', /Error: c\.yaml: networks\.a\.ipam\.config: /],
    ['a: 1\nservices: {}\na: 1\n', /Error: c\.yaml is not YAML: Map keys must be unique/],
  ];
  for (const [text, says] of bad) assert.throws(() => parseCompose('c.yaml', text, {}), says, text);
});

test('an alias bomb ends in an error, and at once', () => {
  const lines = Array.from(
    { length: 20 },
    (_, i) =>
      `x${i}: &x${i} [${Array(10)
        .fill(i ? `*x${i - 1}` : 'lol')
        .join(', ')}]`,
  );
  assert.throws(() => parseCompose('c.yaml', lines.join('\n'), {}), /alias/i);
});

test('any YAML ends in a project or in words', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      try {
        parseCompose('c.yaml', text, {});
      } catch (cause) {
        assert.match((cause as Error).message, /^c\.yaml/);
      }
    }),
  );
});

test('circles of include and extends end', async (t) => {
  const folder = workspace(t);
  writeFileSync(
    join(folder, 'a.yaml'),
    'include: [b.yaml]\nservices: { x: { extends: { file: b.yaml, service: x } } }\n',
  );
  writeFileSync(
    join(folder, 'b.yaml'),
    'include: [a.yaml]\nservices: { x: { extends: { file: a.yaml, service: x } } }\n',
  );
  await assert.rejects(loadProject([join(folder, 'a.yaml')], {}, 'x'), /include goes in a circle/);
  writeFileSync(join(folder, 'c.yaml'), 'services: { x: { extends: y }, y: { extends: x } }\n');
  await assert.rejects(loadProject([join(folder, 'c.yaml')], {}, 'x'), /services\.\w: extends goes in a circle/);
});

test('what cannot be seen is noted, and the rest is used', async (t) => {
  const folder = workspace(t);
  const text =
    'include: [../shared/compose.yaml, "https://example.org/repo.git"]\nservices: { web: { image: nginx } }\n';
  writeFileSync(join(folder, 'compose.yaml'), text);
  const { project, notes } = await loadProject([join(folder, 'compose.yaml')], {}, 'Shop 2');
  assert.deepEqual([...project.services.keys()], ['web']);
  assert.equal(project.name, 'shop2');
  assert.equal(notes.length, 2);
});

test('files are found as Compose finds them: its order of names, COMPOSE_FILE in .env, links', async (t) => {
  const folder = workspace(t);
  const find = (named: string[] = []) => findFiles({ folder, named, env: {} });
  await assert.rejects(find(), /there is no compose file in/);
  writeFileSync(join(folder, 'docker-compose.yml'), 'services: {}\n');
  assert.deepEqual((await find()).files, [join(folder, 'docker-compose.yml')]);
  symlinkSync(join(folder, 'docker-compose.yml'), join(folder, 'compose.yml'));
  assert.deepEqual((await find()).files, [join(folder, 'compose.yml')]);
  await assert.rejects(find(['other.yml']), /other\.yml is not there/);
  writeFileSync(join(folder, '.env'), 'COMPOSE_FILE=docker-compose.yml:extra.yml\n');
  writeFileSync(join(folder, 'extra.yml'), 'services: {}\n');
  assert.deepEqual((await find()).files, [join(folder, 'docker-compose.yml'), join(folder, 'extra.yml')]);
});

test('routes of ip and of /proc say the same; the default route says nothing', () => {
  const json = JSON.stringify([
    { dst: 'default', gateway: '10.77.0.254', dev: 'eth0' },
    { dst: '10.77.0.0/24', dev: 'eth0' },
    { dst: '192.168.128.0/24', dev: 'docker0' },
    { type: 'local', dst: '127.0.0.1', dev: 'lo' },
    { dst: '10.8.0.1', dev: 'tun0' },
  ]);
  const routes = parseRoutes(json);
  assert.equal(routes.defaultDevice, 'eth0');
  const shown = routes.taken.map(({ prefix }) => formatPrefix(prefix));
  assert.deepEqual(shown, ['10.77.0.0/24', '192.168.128.0/24', '10.8.0.1/32']);
  const table = `Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 FE004D0A 0003 0 0 0 00000000 0 0 0
eth0 00004D0A 00000000 0001 0 0 0 00FFFFFF 0 0 0
docker0 0080A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0
tun0 0100080A 00000000 0001 0 0 0 FFFFFFFF 0 0 0
`;
  const proc = parseProcRoutes(table);
  assert.equal(proc.defaultDevice, 'eth0');
  assert.deepEqual(
    proc.taken.map(({ prefix }) => formatPrefix(prefix)),
    shown,
  );
});

test("the folder's name on the host, from the container's mounts", () => {
  const mounts =
    '313 296 8:1 /home/ann/My\\040Shop /project rw - ext4 /dev/sda1 rw\n1 1 0:1 / / rw - overlay overlay rw\n';
  assert.equal(folderName('/project', mounts), 'My Shop');
  assert.equal(folderName('/srv/shop', mounts), 'shop');
  assert.equal(normalName('_My Shop.2'), 'myshop2');
});

test('a subnet is never one that is taken', () => {
  const prefix = fc
    .tuple(fc.nat(0xffffffff), fc.integer({ min: 8, max: 32 }))
    .map(([a, length]) => prefixOf(a, length));
  fc.assert(
    fc.property(fc.string(), fc.array(prefix, { maxLength: 60 }), (seed, prefixes) => {
      const taken = prefixes.map((entry) => ({ prefix: entry, by: 'x' }));
      const chosen = chooseSubnet(seed, taken);
      assert.ok(chosen === undefined || (chosen.length === 24 && !collision(chosen, taken)));
    }),
  );
});

test('a discovery.json that is damaged is none', async (t) => {
  const path = join(workspace(t), 'discovery.json');
  writeFileSync(path, '{');
  assert.deepEqual(await subnetsIn(path), []);
  writeFileSync(path, JSON.stringify({ peers: [{ stack_id: 'b', subnets: ['10.1.0.0/24'] }] }));
  assert.deepEqual(await subnetsIn(path), [{ stack: 'b', subnet: '10.1.0.0/24' }]);
});

test('scripts/init.sh: dry run, written, up to date, edited, forced; the exit status of each', (t) => {
  const folder = join(workspace(t), 'shop');
  cpSync(join(FIXTURES, 'guestbook'), folder, { recursive: true });
  const init = (...args: string[]) => {
    const result = spawnSync(SCRIPT, ['--listen', '0', ...args], { cwd: folder, encoding: 'utf8' });
    return { status: result.status, text: result.stdout + result.stderr };
  };
  const target = join(folder, 'docker-compose.override.yml');
  assert.match(init('--dry-run').text, /Nothing was written/);
  assert.throws(() => readFileSync(target));
  assert.match(init().text, /\n\+services:\n[\s\S]*Wrote docker-compose\.override\.yml/);
  const written = readFileSync(target, 'utf8');
  assert.match(init().text, /is up to date/);
  writeFileSync(target, written.replace('unless-stopped', 'always'));
  assert.deepEqual([init().status, init('--force').status], [1, 0]);
  assert.equal(readFileSync(target, 'utf8'), written);
  assert.equal(init('--subnet', '10.1.0.7/24').status, 64);
  assert.equal(init('--sbunet', '10.1.0.0/24').status, 64);
  mkdirSync(join(folder, 'empty'));
  assert.match(init('--project-directory', join(folder, 'empty')).text, /there is no compose file/);
});

test('name servers of the host: without its own loopback, and where only that is named, those of systemd-resolved', async (t) => {
  const folder = workspace(t);
  const write = (name: string, lines: string) => {
    writeFileSync(join(folder, name), lines);
    return join(folder, name);
  };
  const stub = write('stub', 'nameserver 127.0.0.53\noptions edns0\n');
  const real = write('real', 'nameserver 10.1.2.3\nnameserver 10.1.2.4\n');
  assert.deepEqual(await nameServers([real, stub]), ['10.1.2.3', '10.1.2.4']);
  assert.deepEqual(await nameServers([stub, real]), ['10.1.2.3', '10.1.2.4']);
  assert.deepEqual(await nameServers([stub, join(folder, 'none')]), []);
});

test("a project's name as Compose makes it, also where name: says it", async (t) => {
  const folder = workspace(t);
  const path = join(folder, 'compose.yaml');
  const nameOf = async (head: string) => {
    writeFileSync(path, `${head}services: { web: { image: x } }\n`);
    return (await loadProject([path], {}, 'My Folder')).project.name;
  };
  assert.equal(await nameOf('name: Strange-shop\n'), 'strange-shop');
  assert.equal(await nameOf(''), 'myfolder');
});
