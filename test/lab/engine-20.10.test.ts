/** The main job on Debian 12: Docker Engine 20.10 with Compose 2. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, ok, useLab } from '../support/lab.ts';
import { allReach, compose, down, exampleStack, inContainer, routesOf, up } from '../support/stacks.ts';

const a = exampleStack('a', 1);
const b = exampleStack('b', 2);
const c = exampleStack('c', 1);

useLab(2, () => Promise.all([a, b, c].map(up)), ['--suite', 'bookworm']);

test('the engine is 20.10', async () => {
  assert.match(await ok(1, 'docker', 'version', '-f', '{{.Server.Version}}'), /^20\.10\./);
});

test('every service reaches every other one over TCP, across hosts and on one', () => allReach([a, b, c], 3));

test('both daemons are healthy, as Docker sees it', async () => {
  const states = await ok(1, 'docker', 'ps', '--format', '{{.Names}} {{.Status}}');
  for (const name of ['stack-a-router-1', 'stack-a-discovery-1', 'stack-c-router-1'])
    assert.match(states, new RegExp(`${name} Up .*\\(healthy\\)`));
});

test('a router that is restarted is back, a stack that is taken down leaves no route', async () => {
  await compose(a, 'restart', 'router');
  await allReach([a, b, c], 10);
  await down(c);
  await eventually(5, async () => {
    for (const stack of [a, b]) assert.doesNotMatch((await routesOf(stack)).join(), /172\.29\.0\.0/);
  });
  assert.equal((await inContainer(a, 'router', 'ip', '-4', 'route', 'show', 'proto', '157')).code, 0);
});
