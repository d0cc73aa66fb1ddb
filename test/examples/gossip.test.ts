/** examples/gossip, started as its README says, on real Docker Engines: three hosts without common multicast, a stack on each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectTime, dropMulticast } from '../support/connect.ts';
import { ok, useLab } from '../support/lab.ts';
import { commands } from '../support/readme.ts';
import { down, type Stack } from '../support/stacks.ts';

const README = 'examples/gossip/README.md';
const FOLDER = '/root/examples/gossip';
const HOSTS = [1, 2, 3];
/** What is promised: all pairs are connected over TCP by then. */
const CONNECT_MS = 5000;

useLab(HOSTS.length, async () => {
  for (const host of HOSTS) {
    await ok(host, 'docker', 'tag', 'docker-router-service:latest', 'nginx:alpine');
    // /repo is read-only, and the README makes a key in the folder.
    await ok(host, 'sh', '-c', 'rm -rf /root/examples && cp -r /repo/examples /root/');
  }
  await dropMulticast(HOSTS.length);
});

const shell = (host: number, line: string) => ok(host, 'sh', '-c', `cd '${FOLDER}' && ${line}`);

const stacks = ['a', 'b', 'c'].map(
  (letter, i): Stack => ({
    name: `stack-${letter}`,
    host: i + 1,
    service: `test-${letter}`,
    files: [`${FOLDER}/docker-compose.stack-${letter}.yml`],
    // The same in all, as the README says.
    env: { GOSSIP_SEEDS: '10.77.0.1,10.77.0.2' },
  }),
);

test('three stacks on three hosts are connected over TCP within 5 s, with no server at all', async (t) => {
  t.after(() => Promise.all(stacks.map(down)));
  for (const line of commands(README, 'key')) await shell(1, line);
  const key = await shell(1, 'cat gossip.key');
  for (const host of [2, 3])
    await shell(host, `echo '${key}' > gossip.key && chown 10001 gossip.key && chmod 640 gossip.key`);
  const third = 's/stack-b/stack-c/g; s/test-b/test-c/g; s/172\\.31\\./172.29./g';
  await shell(3, `sed '${third}' docker-compose.stack-b.yml > docker-compose.stack-c.yml`);
  const [[a], [b]] = [commands(README, 'stack-a') as [string], commands(README, 'stack-b') as [string]];
  const lines = [a, b, b.replace('stack-b', 'stack-c')];
  const took = await connectTime(stacks, () => Promise.all(lines.map((line, i) => shell(i + 1, line))));
  t.diagnostic(`connected ${took} ms after the last container was started`);
  assert.ok(took < CONNECT_MS, `${took} ms`);
  const [members] = commands(README, 'members');
  const shown = await shell(1, members!);
  for (const [i, net] of ['172\\.30', '172\\.31', '172\\.29'].entries()) {
    const line = `^stack-${'abc'[i]}\\.[0-9a-f]{8} +10\\.77\\.0\\.${i + 1}:7946 +alive .*net=${net}\\.0\\.0/24`;
    assert.match(shown, new RegExp(line, 'm'));
  }
});
