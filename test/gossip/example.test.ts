/** examples/gossip, started as its README says, on real Docker Engines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ok, useLab } from '../support/lab.ts';
import { commands } from '../support/readme.ts';
import { allReach, down, exampleStack, type Stack } from '../support/stacks.ts';

const README = 'examples/gossip/README.md';
const FOLDER = '/root/examples/gossip';

useLab(2, async () => {
  for (const host of [1, 2]) {
    await ok(host, 'docker', 'tag', 'docker-router-service:latest', 'nginx:alpine');
    // /repo is read-only, and the README makes a key in the folder.
    await ok(host, 'sh', '-c', 'rm -rf /root/examples && cp -r /repo/examples /root/');
  }
});

const shell = (host: number, line: string) => ok(host, 'sh', '-c', `cd '${FOLDER}' && ${line}`);

function stack(letter: 'a' | 'b', host: number): Stack {
  const base = exampleStack(letter, host);
  return { ...base, files: [`${FOLDER}/docker-compose.stack-${letter}.yml`], env: { GOSSIP_SEEDS: 'x' } };
}

test('two stacks on two hosts, with no server at all', async (t) => {
  const stacks = [stack('a', 1), stack('b', 2)];
  t.after(() => Promise.all(stacks.map(down)));
  for (const line of commands(README, 'key')) await shell(1, line);
  const key = await shell(1, 'cat gossip.key');
  await shell(2, `echo '${key}' > gossip.key && chown 10001 gossip.key && chmod 640 gossip.key`);
  const [[a], [b]] = [commands(README, 'stack-a'), commands(README, 'stack-b')];
  await Promise.all([shell(1, `${a!} --wait`), shell(2, `${b!} --wait`)]);
  await allReach(stacks, 5);
  const [members] = commands(README, 'members');
  const shown = await shell(1, members!);
  assert.match(shown, /^stack-a\.[0-9a-f]{8} +10\.77\.0\.1:7946 +alive .*net=172\.30\.0\.0\/24/m);
  assert.match(shown, /^stack-b\.[0-9a-f]{8} +10\.77\.0\.2:7946 +alive .*net=172\.31\.0\.0\/24/m);
});
