/** Steps from one discovery.json to the next, against a real kernel: what a full pass would have done, without listing it. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { readRouterConfig } from '../../src/config/router-config.ts';
import { runOk } from '../../src/process/run.ts';
import type { StackRecord } from '../../src/record/record.ts';
import type { DiscoveryInput } from '../../src/router/discovery-input.ts';
import { reconcile } from '../../src/router/reconcile.ts';
import { type Settled, settled, step } from '../../src/router/step.ts';
import { inOwnNamespace } from '../support/own-namespace.ts';
import { record } from '../support/records.ts';

inOwnNamespace(import.meta.url);

const CONFIG = readRouterConfig({ UNDERLAY: 'published' });
const AROUND = { underlay: 'published', fast: true, masquerade: false } as const;
const entry = (r: StackRecord) =>
  ({ ...r, last_seen: '2024-01-15T10:30:00Z', status: 'active', source: 'multicast' }) as const;
const input = (peers: StackRecord[], changes: Partial<StackRecord> = {}): DiscoveryInput => {
  const self = record(1, { stack_id: 'stack-a', subnets: [], ...changes });
  return { self: { ...entry(self), boot: self.boot }, peers: peers.map(entry), dropped: [] };
};
const full = (peers: StackRecord[]) => reconcile(CONFIG, AROUND, { port: undefined, gateway: undefined }, input(peers));
const ip = (line: string) => runOk(['ip', ...line.split(' ')]);

/** A full pass, another that finds nothing left to do, and what a step may start from. */
async function from(peers: StackRecord[]): Promise<Settled> {
  const first = await full(peers);
  assert.ok(
    !first.unverified || settled(first, input(peers)) === undefined,
    'nothing builds on what nobody has looked at',
  );
  const start = settled(await full(peers), input(peers));
  assert.ok(start);
  return start;
}

before(async () => {
  await ip('link set lo up');
  await ip('link add eth0 type veth peer name bridge0');
  for (const device of ['eth0', 'bridge0']) await ip(`link set ${device} up`);
  await ip('address add 172.30.0.3/24 dev eth0');
  await ip('route add default via 172.30.0.2 dev eth0');
});

test('on the published underlay the first stack of this host is left to a full pass, which switches the offload off', async () => {
  const at = await from([record(2)]);
  const { peers, ...rest } = input([record(2), record(3)]);
  const here = { ...rest, peers: peers.map((peer) => ({ ...peer, this_host: true as const })) };
  assert.equal(await step(CONFIG, at, here), undefined);
});

test('after steps a full pass finds nothing to do', async () => {
  const stages = [
    [record(2), record(3)],
    [record(2), record(3), record(4)],
    [record(2, { host_ip: '192.168.9.9' }), record(4)],
    [record(4, { subnets: record(3).subnets, gateway_ip: '10.100.3.9' })],
    [record(2), record(4)],
    // Two stacks with one endpoint share a flood entry; and a stack that nobody can route to.
    [record(2), record(4), record(5, { host_ip: '192.168.0.4' }), record(6, { subnets: [] })],
    [record(2), record(5, { host_ip: '192.168.0.4' })],
    [record(5, { host_ip: '192.168.0.4' })],
  ];
  let at = await from(stages[0]!);
  for (const peers of stages.slice(1)) {
    const pass = await step(CONFIG, at, input(peers));
    assert.ok(pass && pass.changed > 0);
    at = settled(pass, input(peers))!;
    const check = await full(peers);
    assert.deepEqual({ changed: check.changed, problems: check.problems }, { changed: 0, problems: [] });
  }
});

test('steps with a peer that is refused, and with one that takes its place', async () => {
  const rival = record(9, { subnets: record(2).subnets, gateway_ip: '10.100.2.9' });
  let at = await from([record(2), record(3)]);
  for (const peers of [[record(2), rival], [rival], [rival, record(3)]]) {
    const pass = await step(CONFIG, at, input(peers));
    assert.equal(pass?.problems.length, peers.includes(rival) && peers.length === 2 && peers[0] !== rival ? 1 : 0);
    at = settled(pass!, input(peers))!;
    assert.equal((await full(peers)).changed, 0);
  }
});

test('a line that the kernel refuses, and what a step cannot do, are left to a full pass', async () => {
  const at = await from([record(2)]);
  assert.equal(await step(CONFIG, at, input([record(2), record(3, { subnets: ['10.100.3.0/25'] })])), undefined);
  assert.equal(await step(CONFIG, at, input([record(2)], { vni: 2000 })), undefined);
  await ip('link delete vxlan0');
  assert.equal(await step(CONFIG, at, input([record(2), record(3)])), undefined);
});

test('a pass that left something open is nothing to build on', async () => {
  await full([record(2)]);
  await ip('route add 10.100.3.0/24 via 172.30.0.1 dev eth0');
  const peers = [record(2), record(3)];
  assert.equal(settled(await full(peers), input(peers)), undefined);
});
