/** A discovery that dies and comes back, and a file that somebody else has written into: no peer is lost meanwhile. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DiscoveryProcesses, makeNetwork, until } from '../support/discovery-process.ts';
import { inOwnNamespace } from '../support/own-namespace.ts';

inOwnNamespace(import.meta.url);

const processes = new DiscoveryProcesses();
before(makeNetwork);
after(() => processes.end());

const knows = (id: string, peer: string) => processes.status(id, peer) === 'active';

test('killed and started again it never writes a file without the peers it knew', async () => {
  const a = processes.start('stack-a');
  processes.start('stack-b');
  await until('they know each other', 30, () => knows('stack-a', 'stack-b') && knows('stack-b', 'stack-a'));
  a.kill('SIGKILL');
  await once(a, 'exit');
  const path = join(processes.folder('stack-a'), 'discovery.json');
  const before = JSON.parse(readFileSync(path, 'utf8')).self.boot;
  processes.start('stack-a');
  let files = 0;
  const end = performance.now() + 20_000;
  while (performance.now() < end && files < 200) {
    const file = JSON.parse(readFileSync(path, 'utf8'));
    assert.deepEqual(
      file.peers.map(({ stack_id }: { stack_id: string }) => stack_id),
      ['stack-b'],
    );
    if (file.self.boot !== before) files += 1;
    await sleep(5);
  }
  assert.ok(files > 50, 'the new process has written its own');
});

test('a peer that died while it was away is gone after PEER_TIMEOUT', async () => {
  const c = processes.start('stack-c');
  await until('a knows c', 30, () => knows('stack-a', 'stack-c'));
  const d = processes.start('stack-d', { PEER_TIMEOUT: '4s' });
  await until('d knows c', 30, () => knows('stack-d', 'stack-c'));
  for (const child of [c, d]) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  processes.start('stack-d', { PEER_TIMEOUT: '4s' });
  await until(
    'd has forgotten c, and knows a',
    30,
    () => processes.status('stack-d', 'stack-c') === undefined && knows('stack-d', 'stack-a'),
  );
});

test('a file that was damaged or deleted is written again within seconds', async () => {
  const path = join(processes.folder('stack-a'), 'discovery.json');
  for (const damage of [() => writeFileSync(path, 'garbage'), () => rmSync(path), () => writeFileSync(path, '')]) {
    damage();
    await until('it is whole again', 10, () => knows('stack-a', 'stack-b'));
  }
});
