/** A stack's key in a real etcd: what an operator sees of it, who may have it, and that it comes back whatever is done to it. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inPrivateNetwork } from '../conformance/network.ts';
import { record } from '../support/records.ts';
import { EtcdCluster, etcdConfig, installEtcd } from './server.ts';
import { fails, Stacks, sees, troubles, until, watchForLosses, works } from './stacks.ts';

installEtcd();
await inPrivateNetwork(import.meta.url);

const PREFIX = '/docker-router/discovery';
const keyOf = (n: number) => `${PREFIX}/stack-${n}/record`;
const stacks = new Stacks();
let cluster: EtcdCluster;
before(async () => {
  cluster = await EtcdCluster.start(1);
});
after(() => cluster?.stop());
afterEach(async () => {
  await stacks.stop();
  await cluster.ctl(['del', '--prefix', PREFIX]);
});

interface Row {
  readonly value: string;
  /** In hexadecimal, as etcdctl takes it; undefined without one. */
  readonly lease: string | undefined;
}

/** The rows of `etcdctl get`. Its JSON has the lease as a number that JavaScript would round, hence `fields`. */
async function rowsOf(key: string, ...flags: string[]): Promise<Row[]> {
  const text = await cluster.ctl(['get', '-w', 'fields', key, ...flags]);
  return text
    .split('"Key" : ')
    .slice(1)
    .map((row) => {
      const lease = /"Lease" : (\d+)/.exec(row)?.[1] ?? '0';
      const value = JSON.parse(/"Value" : (".*")/.exec(row)?.[1] ?? '""') as string;
      return { value, lease: lease === '0' ? undefined : BigInt(lease).toString(16) };
    });
}

/** Waits until what etcd holds is what is wanted. */
async function becomes<T>(read: () => Promise<T>, wanted: T): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (let held = await read(); held !== wanted; held = await read()) {
    assert.ok(performance.now() < deadline, `etcd holds ${held}, not ${wanted}`);
    await sleep(20);
  }
}

describe('the key', () => {
  test('is what an operator reads with etcdctl get --prefix, tied to a lease', async () => {
    const stack = stacks.run(etcdConfig(cluster.urls), 1);
    await works(stack);
    const text = await cluster.ctl(['get', '--prefix', PREFIX]);
    assert.equal(text, `${keyOf(1)}\n${JSON.stringify(stack.record)}\n`);
    const lease = (await rowsOf(keyOf(1)))[0]!.lease!;
    const left = await cluster.ctl(['lease', 'timetolive', lease]);
    assert.match(left, /granted with TTL\(3s\)/);
    await stacks.stop();
    assert.deepEqual(await rowsOf(PREFIX, '--prefix'), []);
    assert.equal((await cluster.ctl(['lease', 'list'])).trim(), 'found 0 leases');
  });

  test('keeps its lease when the record changes', async () => {
    // Longer than a busy machine stands still: a lease that ends is another test's.
    const stack = stacks.run(etcdConfig(cluster.urls, { leaseTtlMs: 30_000 }), 1);
    await works(stack);
    const before = (await rowsOf(keyOf(1)))[0]!.lease;
    for (let i = 0; i < 10; i += 1) stack.change({ vxlan_port: 6000 + i });
    const now = async () => JSON.parse((await rowsOf(keyOf(1)))[0]!.value).vxlan_port as number;
    await becomes(now, 6009);
    assert.equal((await rowsOf(keyOf(1)))[0]!.lease, before);
    // Those of earlier tests may have a moment left.
    await becomes(async () => (await cluster.ctl(['lease', 'list'])).trim().split('\n').length, 2);
  });

  test('comes back when an operator deletes it, and when its lease is revoked', async () => {
    const [a, b] = [stacks.run(etcdConfig(cluster.urls), 1), stacks.run(etcdConfig(cluster.urls), 2)];
    await sees(b, [a]);
    const monitor = watchForLosses(b, [a]);
    for (const harm of ['deleted', 'revoked'] as const) {
      const seen = b.events.length;
      if (harm === 'deleted') await cluster.ctl(['del', keyOf(1)]);
      else await cluster.ctl(['lease', 'revoke', (await rowsOf(keyOf(1)))[0]!.lease!]);
      const gone = () => b.events.slice(seen).some((event) => event.type === 'remove' && event.fadeMs);
      await until(gone, 20_000, `${harm}: the others are told`, () => b.events.slice(seen));
      await sees(b, [a]);
    }
    monitor.stop();
    assert.deepEqual([...monitor.losses], [], 'and nobody lost it meanwhile');
    assert.deepEqual(troubles(a), []);
  });

  test('is healed when something else writes there, and the others keep the last good record meanwhile', async () => {
    const [a, b] = [stacks.run(etcdConfig(cluster.urls), 1), stacks.run(etcdConfig(cluster.urls), 2)];
    await sees(b, [a]);
    const monitor = watchForLosses(b, [a]);
    await cluster.ctl(['put', keyOf(1), 'oops']);
    const healed = async () => (await rowsOf(keyOf(1)))[0]?.value;
    await becomes(healed, JSON.stringify(a.record));
    await sees(b, [a]);
    monitor.stop();
    assert.deepEqual([...monitor.losses], []);
    assert.ok(b.events.some((event) => event.type === 'dropped' && event.kind === 'malformed record'));
    // With a lease again, or it would stay for ever.
    assert.ok((await rowsOf(keyOf(1)))[0]!.lease);
  });

  test('is refused to a second stack, which says who holds it, and gets it when the first is gone', async () => {
    const config = etcdConfig(cluster.urls);
    const first = stacks.run(config, 1, { host_ip: '10.0.0.7', since: Date.UTC(2024, 0, 15, 10, 30) });
    await works(first);
    const [rival, viewer] = [stacks.run(config, 2, { stack_id: 'stack-1' }), stacks.run(config, 3)];
    const message = await fails(rival, /stack id stack-1 is held/);
    assert.equal(
      message,
      'the stack id stack-1 is held by another stack on 10.0.0.7 since 2024-01-15T10:30:00Z; give one of them another STACK_ID',
    );
    await sees(viewer, [first]);
    await sees(rival, [first, viewer]);
    await first.source.stop();
    await sees(viewer, [rival]);
    await works(rival);
  });

  test('goes to one of many that want it at the same moment', async () => {
    const config = etcdConfig(cluster.urls);
    const rivals = Array.from({ length: 12 }, (_, i) => stacks.run(config, i + 1, { stack_id: 'stack-1' }));
    const decided = () => rivals.filter(({ works }) => works !== undefined);
    await until(
      () => decided().length === 12,
      30_000,
      'all have an answer',
      () => rivals.map(({ works }) => works),
    );
    assert.equal(rivals.filter(({ works }) => works).length, 1);
    assert.equal((await rowsOf(PREFIX, '--prefix')).length, 1);
  });

  test('stays with the later start of two that share one identity', async () => {
    const config = etcdConfig(cluster.urls);
    const { instance } = record(1);
    const old = stacks.run(config, 1, { boot: 1000 });
    await works(old);
    const copy = stacks.run(config, 1, { instance, boot: 2000, host_ip: '10.0.0.8' });
    await works(copy);
    await fails(old, /started once more on 10\.0\.0\.8 with a copy of this stack's volume/);
    await sleep(2500);
    assert.equal(JSON.parse((await rowsOf(keyOf(1)))[0]!.value).boot, 2000, 'they do not take it from each other');
    assert.deepEqual(troubles(copy), []);
  });
});
