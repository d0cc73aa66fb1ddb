/** The examples and the README, by their own words, on real Docker Engines. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createReadStream, readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/process/run.ts';
import { eventually, inHost, ok, stopTime, useLab, writeInHost } from '../support/lab.ts';
import { block, commands } from '../support/readme.ts';
import { addressOf, down, exampleStack, execIn, reaches, up } from '../support/stacks.ts';

// No registry of images here: the lab's base stands for the one that the Dockerfiles and the examples name.
useLab(2, async () => {
  for (const host of [1, 2]) {
    await ok(host, 'docker', 'tag', 'docker-router-base:latest', 'node:26-trixie-slim');
    await ok(host, 'docker', 'tag', 'docker-router-service:latest', 'nginx:alpine');
    await ok(host, 'docker', 'tag', 'docker-router-service:latest', 'busybox:latest');
  }
});

const shell = (host: number, line: string, folder = '/root') => ok(host, 'sh', '-c', `cd '${folder}' && ${line}`);

test('README: docker build and docker run of discovery alone, to the letter', async (t) => {
  t.after(() => inHost(1, 'docker', 'rm', '-f', 'manual'));
  const [build, run] = commands('README.md', 'manual-run');
  const [cat] = commands('README.md', 'manual-cat');
  await ok(1, 'sh', '-c', 'rm -rf /root/manual && mkdir -p /root/manual && cp -r /repo/discovery /root/manual/');
  await shell(1, build!, '/root/manual');
  const container = inHost(
    1,
    'sh',
    '-c',
    `cd /root/manual && exec ${run!.replace('docker run', 'docker run --name manual')}`,
  );
  const text = await eventually(10, () => shell(1, cat!, '/root/manual'));
  const file = JSON.parse(text);
  assert.equal(file.self.stack_id, 'stack-a');
  assert.equal(file.self.vni, 1000);
  assert.deepEqual(file.peers, []);
  assert.equal(
    await shell(1, 'stat -c %u data/discovery.json', '/root/manual'),
    '10001',
    'root handed the folder over',
  );
  assert.match(
    await ok(1, 'docker', 'exec', 'manual', 'sh', '-c', 'cat /proc/$(pgrep -o node)/status'),
    /^Uid:\s+10001\s[\s\S]*^CapBnd:\s+0{16}$/m,
  );
  const orphan = '(sleep 0.1 &); sleep 0.5; cat /proc/1/comm; grep -l "State:.Z" /proc/[0-9]*/status || true';
  assert.equal(await ok(1, 'docker', 'exec', 'manual', 'sh', '-c', orphan), 'tini', 'an init, which reaps');
  const took = await stopTime(1, 'manual');
  assert.equal((await container).code, 0);
  assert.ok(took < 1000, `stopped within ${took} ms`);
});

test('README: the images by scripts/build.sh', async () => {
  assert.equal(commands('README.md', 'build').at(-1), './scripts/build.sh');
  const out = await ok(2, 'env', 'SKIP_BUNDLE=1', '/repo/scripts/build.sh');
  assert.ok(out !== undefined);
  for (const image of ['docker-router', 'docker-router-discovery'])
    await ok(2, 'docker', 'image', 'inspect', `${image}:latest`);
});

test('simple-test: docker compose up shows discovery data', async () => {
  const child = spawn(fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url)), [
    'in',
    '1',
    'sh',
    '-c',
    'cd /repo/examples/simple-test && exec docker compose up',
  ]);
  let shown = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (shown += chunk));
  try {
    await eventually(30, async () =>
      assert.match(shown, /viewer-1 +\| +"stack_id": "simple-test"[\s\S]*172\.28\.0\.0\/24/),
    );
  } finally {
    await shell(1, 'docker compose down -v -t 2', '/repo/examples/simple-test');
    child.kill();
  }
});

test('multi-stack: started as its README lines say, every stack reaches every other', async (t) => {
  const stacks = [exampleStack('a', 1), exampleStack('c', 1), exampleStack('b', 2)];
  t.after(() => Promise.all(stacks.map(down)));
  // Literally, in the folder; the helper's commands are the same with full paths.
  const [cd, upLine, execLine] = commands('README.md', 'multi-stack');
  assert.equal(cd, 'cd examples/multi-stack');
  await shell(1, upLine!, '/repo/examples/multi-stack');
  await Promise.all(stacks.map(up));
  for (const stack of stacks)
    await reaches(
      stack,
      stacks.filter((other) => other !== stack),
      3,
    );
  // By name too: each asks the router of its stack.
  for (const [from, name] of [
    [0, 'test-b.stack-b'],
    [2, 'test-c.stack-c'],
    [1, 'test-a.stack-a'],
  ] as const) {
    const stack = stacks[from]!;
    const target = stacks.find((other) => name.endsWith(other.name))!;
    const found = await execIn(stack, stack.service, 'getent', 'hosts', `${name}.internal`);
    assert.equal(found.split(/\s+/)[0], await addressOf(target), `${stack.name}: ${name}`);
  }
  const file = JSON.parse(await shell(1, execLine!.replace('exec ', 'exec -T '), '/repo/examples/multi-stack'));
  assert.deepEqual(
    file.peers.map((peer: { stack_id: string; status: string }) => `${peer.stack_id} ${peer.status}`),
    ['stack-b active', 'stack-c active'],
  );
});

test('README: the lines added to a stack of your own connect it', async () => {
  const yaml = block('README.md', 'add-to-stack');
  assert.ok(yaml.trim().split('\n').length < 10, 'under ten lines, as promised');
  // The user's own file, with a services block of its own: the lines are merged into it as a person would.
  const mine = yaml.replace('services:\n', 'services:\n  web: { image: "nginx:alpine" }\n');
  await ok(1, 'mkdir', '-p', '/root/shop');
  await writeInHost(1, '/root/shop/docker-compose.yml', mine);
  await writeInHost(
    1,
    '/root/shop/docker-router.yml',
    readFileSync(new URL('../../examples/docker-router.yml', import.meta.url), 'utf8'),
  );
  const b = exampleStack('b', 2);
  await up(b);
  const [upLine, catLine] = commands('README.md', 'add-to-stack-run');
  await shell(1, `${upLine} --wait`, '/root/shop');
  const shop = { ...b, name: 'shop', host: 1, service: 'web', files: ['/root/shop/docker-compose.yml'], env: {} };
  await reaches(shop, [b], 3);
  await reaches(b, [shop], 3);
  assert.match(await addressOf(shop), /^172\.30\.0\./);
  const file = JSON.parse(await shell(1, catLine!.replace('exec ', 'exec -T '), '/root/shop'));
  assert.equal(file.self.stack_id, 'shop');
  // Names: the block is merged into the file by Compose itself.
  await writeInHost(1, '/root/shop/names.yml', block('README.md', 'names'));
  assert.equal(block('docs/names.md', 'names'), block('README.md', 'names').replace(/ +#.*/, ''));
  const [again, getent] = commands('README.md', 'names-run');
  const both = 'export COMPOSE_FILE=docker-compose.yml:names.yml;';
  await shell(1, `${both} ${again} --wait`, '/root/shop');
  const found = await shell(1, `${both} ${getent!.replace('exec ', 'exec -T ')}`, '/root/shop');
  assert.equal(found.split(/\s+/)[0], await addressOf(b));
  const [doctorLine] = commands('README.md', 'doctor');
  assert.match(await shell(1, `${doctorLine!.replace('exec ', 'exec -T ')} || true`, '/root/shop'), /✓ gateway/);
  const [statusLine] = commands('README.md', 'status');
  await eventually(15, async () =>
    assert.match(
      await shell(1, statusLine!.replace('exec ', 'exec -T '), '/root/shop'),
      /✓ stack-b +ok .* 10\.77\.0\.2:/,
    ),
  );
  await metrics(both, shop.name);
  await Promise.all([shop, b].map(down));
});

/** docs/metrics.md on the stack of /root/shop. */
async function metrics(both: string, stack: string): Promise<void> {
  const [on, fromService, fromHost] = commands('docs/metrics.md', 'metrics');
  await shell(1, `${both} ${on} --wait`, '/root/shop');
  // The lab's services have no curl: the same request by the client that they have, which prints how many bytes came.
  const client = fromService!.replace('exec', 'exec -T').replace(/curl (\S+)/, 'node /service/probe.mjs get $1 3');
  await eventually(20, async () => {
    assert.ok(Number(await shell(1, `${both} ${client}`, '/root/shop')) > 3000);
    assert.match(await shell(1, fromHost!), new RegExp(`^docker_router_discovery_peers{.*stack="${stack}"} 1$`, 'm'));
  });
}

/** Runs a script of the repository on this machine. */
async function script(...argv: [string, ...string[]]): Promise<string> {
  const path = fileURLToPath(new URL(`../../scripts/${argv[0]}`, import.meta.url));
  const { code, stdout, stderr } = await run([path, ...argv.slice(1)], '', 900_000);
  assert.equal(code, 0, `${argv.join(' ')}: ${stderr}`);
  return `${stdout}${stderr}`;
}

test('both images for the other processor, which this machine does not have', { timeout: 1_200_000 }, async (t) => {
  const other = process.arch === 'arm64' ? 'amd64' : 'arm64';
  const machine = { arm64: 'b7 00', amd64: '3e 00' }[other];
  const platform = ['--platform', `linux/${other}`] as const;
  // The engine has no emulation, and needs none.
  const tar = (await script('base-image.sh', ...platform)).split('\n')[0]!;
  const base = `docker-router-base:${other}`;
  const lab = fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url));
  const load = spawn(lab, ['in', '2', 'docker', 'import', ...platform, '-', base], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  await pipeline(createReadStream(tar), load.stdin);
  const environment = [`BASE_IMAGE=${base}`, 'PACKAGES=preinstalled', 'SKIP_BUNDLE=1'];
  await eventually(30, () => ok(2, 'docker', 'image', 'inspect', base));
  await ok(2, 'env', ...environment, '/repo/scripts/build.sh', ...platform);
  for (const name of ['docker-router', 'docker-router-discovery']) {
    const image = `${name}:latest-${other}`;
    const container = await ok(2, 'docker', 'create', ...platform, image);
    t.after(() => inHost(2, 'docker', 'rm', container));
    assert.equal(await ok(2, 'docker', 'image', 'inspect', '-f', '{{.Os}}/{{.Architecture}}', image), platform[1]);
    const head = `docker cp ${container}:/usr/local/bin/node - | tar -xO | head -c 20 | tail -c 2 | od -An -tx1`;
    assert.equal(await shell(2, head), machine, 'the machine that its Node.js is for');
    const bundle = await shell(
      2,
      `docker cp ${container}:/usr/local/lib/docker-router/${name}.mjs - | tar -xO | sha256sum`,
    );
    const folder = name === 'docker-router' ? 'router' : 'discovery';
    assert.equal(
      bundle,
      await shell(2, `sha256sum </repo/${folder}/dist/${name}.mjs`),
      'the bundle that is tested below',
    );
  }
  // And by emulation on this machine: the bundles start, and their unit tests pass.
  process.env.SKIP_BUNDLE = '1';
  t.after(() => delete process.env.SKIP_BUNDLE);
  assert.match(await script('build.sh', ...platform, '--check'), /all \d{3} tests in \d\d files passed on linux\//);
});
