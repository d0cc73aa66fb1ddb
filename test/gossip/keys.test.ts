/** Changing the gossip key without a gap, in both ways that docs/gossip.md tells. */
import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inPrivateNetwork } from '../conformance/network.ts';
import { gossipKey, serf } from './serf.ts';
import { allSeeAll, type GossipStack, Stacks, until } from './stacks.ts';

const OLD = gossipKey();
const NEW = gossipKey();

await inPrivateNetwork(import.meta.url);
const stacks = new Stacks();
afterEach(() => stacks.close());
after(() => stacks.remove());

/** Fails when anybody lost anybody since `from` events. */
function assertNoGap(all: readonly GossipStack[], from: ReadonlyMap<GossipStack, number>): void {
  for (const stack of all) {
    const losses = stack.events
      .slice(from.get(stack))
      .filter(
        (event) =>
          event.type === 'remove' ||
          (event.type === 'snapshot' && event.records.length < all.length - 1) ||
          (event.type === 'state' && !event.ok),
      );
    assert.deepEqual(losses, [], stack.record.stack_id);
  }
}

function keysCommand(stack: GossipStack, ...args: string[]): void {
  const { code, stdout, stderr } = serf(stack.folder, 'keys', ...args);
  assert.equal(code, 0, stdout + stderr);
}

test('with `serf keys` on one running stack: install, use, remove', async () => {
  const all = [1, 2, 3].map((n) => stacks.run(n, { keys: [OLD] }));
  await allSeeAll(all);
  const from = new Map(all.map((stack) => [stack, stack.events.length]));
  const [one, two] = all as [GossipStack, GossipStack, GossipStack];
  for (const step of [
    ['-install', NEW],
    ['-use', NEW],
    ['-remove', OLD],
  ]) {
    keysCommand(one, ...step);
    // Changes go through under every ring, and longer than a failure takes to be noticed.
    two.change({ vxlan_port: two.record.vxlan_port! + 1 });
    await allSeeAll(all);
    await sleep(7000);
    await allSeeAll(all);
  }
  assertNoGap(all, from);
  assert.match(serf(one.folder, 'keys', '-list').stdout.replace(NEW, 'NEW'), /^NEW +\[3\/3\]$/m);

  // An agent that is started again has the new key, whatever the environment still says.
  process.kill(two.pid, 'SIGKILL');
  await until(
    () => two.lastState?.ok === false,
    5000,
    'it says so',
    () => two.lastState,
  );
  await until(
    () => two.lastState?.ok === true,
    15_000,
    'it works again',
    () => two.lastState,
  );
  await allSeeAll(all);

  const late = stacks.run(4, { keys: [NEW] });
  await allSeeAll([...all, late]);
  const forgotten = stacks.run(5, { keys: [OLD] });
  await until(
    () => forgotten.lastState?.ok === false,
    10_000,
    'one with the old key is told',
    () => forgotten.events,
  );
  assert.match(forgotten.lastState!.message!, /gossips with another key; set the same GOSSIP_ENCRYPT_KEY/);
});

test('with GOSSIP_ENCRYPT_KEY, one stack restarted after the other: OLD,NEW, then NEW,OLD, then NEW', async () => {
  let all = [1, 2, 3].map((n) => stacks.run(n, { keys: [OLD] }));
  await allSeeAll(all);
  for (const ring of [[OLD, NEW], [NEW, OLD], [NEW]]) {
    for (const index of all.keys()) {
      const { record, source } = all[index]!;
      await source.stop();
      const n = index + 1;
      const again = stacks.run(n, { keys: ring }, { ...record, boot: record.boot + 1 });
      all = all.with(index, again);
      await allSeeAll(all);
    }
    const from = new Map(all.map((stack) => [stack, stack.events.length]));
    await sleep(7000);
    assertNoGap(all, from);
  }
});
