/**
 * The figures that the etcd mode promises, measured and printed; docs/etcd.md has those of one run. Needs `npm run build`, and a machine with
 * nothing else to do.
 */
import assert from 'node:assert/strict';
import { availableParallelism, loadavg } from 'node:os';
import { test } from 'node:test';
import { measureChanges, measureNewcomer, type Newcomer, percentile, register } from './figures.ts';
import { EtcdCluster, installEtcd } from './server.ts';

installEtcd();

const CHANGES = 200;
const EVERY_MS = 120;
/** Watch to programmed route, at the 99th percentile, beyond etcd's own latency. */
const BEYOND_ETCD_MS = 100;
const STACKS = 1000;
const RUNS = 3;
/** After this the newcomer has done all that its start brought with it. */
const REST_MS = 3000;
const TABLE_MS = 1000;
const MORE_MB = 40;

function show(what: string, values: readonly number[]): void {
  const [median, p99, most] = [0.5, 0.99, 1].map((p) => percentile(values, p).toFixed(1));
  console.log(`${what}: median ${median} ms, p99 ${p99} ms, largest ${most} ms (${values.length} changes)`);
}

test('a change in etcd is a route soon after etcd itself tells of it', { timeout: 300_000 }, async () => {
  console.log(`load ${loadavg()[0]!.toFixed(1)} on ${availableParallelism()} processors`);
  const times = await measureChanges(CHANGES, EVERY_MS);
  const told = times.map((each) => each.told);
  const beyond = times.map((each) => each.route - each.told);
  show("etcd's own latency, from the put to a bare watch", told);
  show('beyond it, until the route is in the kernel', beyond);
  assert.ok(percentile(beyond, 0.99) <= BEYOND_ETCD_MS, `p99 ${percentile(beyond, 0.99)} ms beyond etcd's own latency`);
});

test('a thousand stacks: a newcomer knows all of them in a second, and is little larger for it', async () => {
  const cluster = await EtcdCluster.start(1);
  try {
    const prefix = await register(cluster, STACKS);
    const measure = async (under: string, peers: number): Promise<Newcomer> => {
      const runs: Newcomer[] = [];
      for (let i = 0; i < RUNS; i += 1) runs.push(await measureNewcomer(cluster, under, peers, REST_MS));
      const median = (key: keyof Newcomer) =>
        percentile(
          runs.map((run) => run[key]),
          0.5,
        );
      const [tookMs, rss, own] = [median('tookMs'), median('rss'), median('own')];
      console.log(
        `${peers} stacks: all known ${tookMs.toFixed(0)} ms after the start; RSS ${rss.toFixed(1)} MB, of which private ${own.toFixed(1)} MB (median of ${RUNS})`,
      );
      return { tookMs, rss, own };
    };
    const idle = await measure('/nobody', 0);
    const crowd = await measure(prefix, STACKS);
    assert.ok(crowd.tookMs <= TABLE_MS, `the table took ${crowd.tookMs} ms`);
    assert.ok(crowd.rss - idle.rss <= MORE_MB, `${crowd.rss - idle.rss} MB more than with nobody there`);
  } finally {
    await cluster.stop();
  }
});
