/** Three members: whatever happens to some of them, no peer is ever missing from any table, and afterwards every table is right. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from '../conformance/lab.ts';
import { inPrivateNetwork } from '../conformance/network.ts';
import { EtcdCluster, type EtcdMember, etcdConfig, installEtcd } from './server.ts';
import { fails, Stacks, sees, troubles, watchForLosses, works } from './stacks.ts';

installEtcd();
await inPrivateNetwork(import.meta.url);

/** Longer than the lease of 6 s. */
const QUORUM_LOSS_MS = 10_000;
const STACKS = 6;
/** What a machine that is busy with other things may need. */
const SEES_MS = 30_000;

let cluster: EtcdCluster;
const stacks = new Stacks();
before(async () => {
  cluster = await EtcdCluster.start(3);
});
after(() => cluster?.stop());
afterEach(() => stacks.stop());

const config = () => etcdConfig(cluster.urls, { leaseTtlMs: 6000 });

async function everyoneSeesEveryone(all: readonly Stack[]): Promise<void> {
  await Promise.all(
    all.map((viewer) =>
      sees(
        viewer,
        all.filter((other) => other !== viewer),
        SEES_MS,
      ),
    ),
  );
}

/** Starts stacks, lets `happen` happen, and checks that nobody lost anybody. */
async function withoutLoss(happen: (all: readonly Stack[]) => Promise<void>): Promise<readonly Stack[]> {
  const all = Array.from({ length: STACKS }, (_, i) => stacks.run(config(), i + 1));
  await everyoneSeesEveryone(all);
  const monitors = all.map((viewer) =>
    watchForLosses(
      viewer,
      all.filter((other) => other !== viewer),
    ),
  );
  await happen(all);
  await everyoneSeesEveryone(all);
  for (const stack of all) await works(stack);
  for (const monitor of monitors) monitor.stop();
  assert.deepEqual(
    monitors.flatMap(({ losses }) => [...losses]),
    [],
  );
  return all;
}

const changeAll = (all: readonly Stack[], port: number) => {
  for (const stack of all) stack.change({ vxlan_port: port });
};

test('a member is killed, and comes back', async () => {
  const all = await withoutLoss(async (all) => {
    await cluster.members[0]!.kill();
    changeAll(all, 6001);
    await everyoneSeesEveryone(all);
    cluster.members[0]!.start();
    await cluster.healthy();
  });
  assert.deepEqual(all.flatMap(troubles), [], 'with two of three members nothing is wrong');
});

test('the leader hangs, and goes on', async () => {
  const all = await withoutLoss(async (all) => {
    // The leader: when it goes on it takes all leases for over, and some versions of etcd let it end them.
    const { member } = await cluster.leader();
    member.pause();
    // Longer than the lease: whoever stays with the member that hangs loses its key.
    await sleep(9000);
    changeAll(all, 6002);
    await everyoneSeesEveryone(all);
    member.resume();
    await sleep(2000);
  });
  assert.deepEqual(all.flatMap(troubles), []);
});

test('the leader changes', async () => {
  await withoutLoss(async (all) => {
    const { member, others } = await cluster.leader();
    await cluster.ctl(['move-leader', others[0]!.id], { endpoints: [member.url] });
    changeAll(all, 6003);
  });
});

test('every member is restarted in turn', async () => {
  const all = await withoutLoss(async (all) => {
    for (const [i, member] of cluster.members.entries()) {
      await member.kill();
      await sleep(500);
      member.start();
      await cluster.healthy();
      changeAll(all, 6010 + i);
    }
  });
  assert.deepEqual(all.flatMap(troubles), []);
});

for (const [how, begin, end] of [
  ['are killed', (member: EtcdMember) => member.kill(), (member: EtcdMember) => member.start()],
  ['hang', async (member: EtcdMember) => member.pause(), (member: EtcdMember) => member.resume()],
] as const) {
  test(`two members ${how} for longer than a lease: the peers stay, stale, and the state says why`, async () => {
    await withoutLoss(async (all) => {
      // The leader among them: one that hung ends the leases that ran out meanwhile.
      const { member, others } = await cluster.leader();
      const lost = [member, others[0]!.member];
      await Promise.all(lost.map(begin));
      await Promise.all(all.map((stack) => fails(stack, /no leader|no answer in time|nothing listens/, SEES_MS)));
      await sleep(QUORUM_LOSS_MS);
      for (const stack of all) assert.ok(stack.everything().every(({ stale }) => stale));
      for (const member of lost) end(member);
      await cluster.healthy();
      changeAll(all, 6020);
    });
  });
}

test('a stack that died while there was no quorum is gone afterwards', async () => {
  const [a, b, dies] = [1, 2, 3].map((n) => stacks.run(config(), n));
  await everyoneSeesEveryone([a!, b!, dies!]);
  await Promise.all(cluster.members.slice(1).map((member) => member.kill()));
  await fails(a!, /no leader|nothing listens/, SEES_MS);
  const begin = performance.now();
  await dies!.source.stop();
  assert.ok(performance.now() - begin < 900);
  for (const member of cluster.members.slice(1)) member.start();
  await cluster.healthy();
  await sees(a!, [b!], SEES_MS);
  await sees(b!, [a!], SEES_MS);
});
