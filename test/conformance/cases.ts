/** The cases of the conformance suite. Each is given a fresh Lab on a running transport; suite.ts says how they are used. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  cleanStop,
  killed,
  killedAndBack,
  NEVER_MS,
  noHandlesLeft,
  outage,
  stopAtOnce,
  stopIsQuick,
  stoppedAndBack,
} from './cases-ends.ts';
import { type Lab, until } from './lab.ts';

async function changesReplace(lab: Lab): Promise<void> {
  const [a, b] = [lab.run(lab.record(1)), lab.run(lab.record(2))];
  await lab.complete([a, b]);
  for (const subnet of ['10.77.0.0/24', '10.78.0.0/24', '10.79.0.0/24']) {
    a.change({ subnets: [subnet], gateway_ip: subnet.replace('.0/24', '.2') });
    await lab.sees(b, [a.record]);
    assert.deepEqual(lab.seenBy(b)[0]!.subnets, [subnet]);
  }
  // A burst: what was published last is what stays.
  for (let i = 0; i < 20; i += 1) a.change({ vxlan_port: 6000 + i });
  await lab.sees(b, [a.record]);
  assert.equal(lab.seenBy(b)[0]!.vxlan_port, 6019);
}

async function everyField(lab: Lab): Promise<void> {
  const key = 'k'.repeat(43);
  const full = lab.record(1, {
    subnets: ['10.70.0.0/24', '10.71.0.0/16', '172.30.4.0/22'],
    gateway_ip: '10.70.0.2',
    public_keys: { wireguard: `${key}=` },
    seq: 7,
  });
  const { gateway_ip: _gateway, vtep_mac: _mac, vxlan_port: _port, ...bare } = lab.record(2, { subnets: [] });
  const [a, b, viewer] = [lab.run(full), lab.run(bare), lab.run(lab.record(3))];
  await lab.complete([a, b, viewer]);
  assert.deepEqual(
    lab.seenBy(viewer).sort((x, y) => (x.stack_id < y.stack_id ? -1 : 1)),
    [full, bare],
  );
}

async function newcomer(lab: Lab): Promise<void> {
  const residents = lab.runAll(1, 6);
  await lab.complete(residents);
  await lab.complete([...residents, lab.run(lab.record(7))]);
}

async function ownRecord(lab: Lab): Promise<void> {
  const [a, b] = [lab.run(lab.record(1)), lab.run(lab.record(2))];
  await lab.complete([a, b]);
  a.change({ vxlan_port: 6001 });
  await lab.complete([a, b]);
  const late = lab.run(lab.record(3));
  await lab.complete([a, b, late]);
  for (const stack of [a, b, late]) {
    const own = stack.named.filter(({ instance }) => instance === stack.record.instance);
    assert.deepEqual(own, [], `${stack.record.stack_id} was told of itself`);
  }
}

async function samePublish(lab: Lab): Promise<void> {
  const [a, b] = [lab.run(lab.record(1)), lab.run(lab.record(2))];
  await lab.complete([a, b]);
  const before = b.events.length;
  for (let i = 0; i < 10; i += 1) a.publish();
  await sleep(NEVER_MS);
  await lab.complete([a, b]);
  const losses = b.events.slice(before).filter(({ type }) => type === 'remove');
  assert.deepEqual(losses, []);
  await lab.complete([a, b, lab.run(lab.record(3))]);
}

async function garbage(lab: Lab): Promise<void> {
  const [a, b] = [lab.run(lab.record(1)), lab.run(lab.record(2))];
  await lab.complete([a, b]);
  // By name: what an earlier case left behind may go meanwhile.
  const instances = () => a.everything().map(({ record: { instance } }) => instance);
  const before = instances();
  const seen = new Map([a, b].map((stack) => [stack, stack.events.length]));
  await lab.harness.injectGarbage();
  for (const stack of [a, b]) {
    const last = () => stack.events.slice(-4);
    const dropped = () => stack.events.slice(seen.get(stack)).some(({ type }) => type === 'dropped');
    await until(dropped, lab.harness.within.seen, 'garbage is reported as dropped', last);
  }
  const made = instances().filter((instance) => !before.includes(instance) && instance !== b.record.instance);
  assert.deepEqual(made, [], 'garbage became a peer');
  a.change({ vxlan_port: 6002 });
  await lab.complete([a, b]);
  const late = lab.run(lab.record(3));
  await lab.complete([a, b, late]);
  assert.equal(a.works, true, a.trouble);
}

async function publishBeforeAndAfterStart(lab: Lab): Promise<void> {
  const early = lab.create(lab.record(1)).publish().start();
  const late = lab.create(lab.record(2)).start();
  await sleep(200);
  late.publish();
  await lab.complete([early, late]);
  late.change({ vxlan_port: 6003 });
  early.change({ vxlan_port: 6004 });
  await lab.complete([early, late]);
}

async function twenty(lab: Lab): Promise<void> {
  await lab.complete(lab.runAll(1, 20));
}

async function sameIdTwice(lab: Lab): Promise<void> {
  const viewer = lab.run(lab.record(1));
  const first = lab.run(lab.record(2));
  await lab.complete([viewer, first]);
  const rival = lab.run(lab.record(3, { stack_id: first.record.stack_id }));
  if (lab.harness.sameId === 'both visible') return lab.sees(viewer, [first.record, rival.record]);
  const says = (stack: typeof rival) => stack.trouble?.includes(first.record.host_ip) === true;
  await until(
    () => says(rival),
    lab.harness.within.seen,
    'the rival is told who holds its id',
    () => rival.events,
  );
  await lab.sees(viewer, [first.record]);
  assert.notEqual(first.works, false, first.trouble);
  // It still sees the others, and has the id as soon as the holder is gone.
  await until(
    () => rival.has(viewer.record),
    lab.harness.within.seen,
    'the rival sees the others',
    () => rival.events,
  );
  await lab.stop(first);
  await lab.sees(viewer, [rival.record], lab.harness.within.dead);
}

async function reportsThatItWorks(lab: Lab): Promise<void> {
  const alone = lab.run(lab.record(1));
  await until(
    () => alone.works === true,
    lab.harness.within.seen,
    'a state event says that it works',
    () => alone.events,
  );
}

export const CASES = {
  'a source says that it works, also with nobody else there': reportsThatItWorks,
  'two stacks see each other': async (lab: Lab) => lab.complete(lab.runAll(1, 2)),
  'every field of a record arrives as it was published': everyField,
  'a newcomer learns all who are there, and they learn of it': newcomer,
  'a changed record replaces the old one': changesReplace,
  'publishing before the start and after it': publishBeforeAndAfterStart,
  'publishing the same record again is harmless': samePublish,
  'a stack is never told of itself': ownRecord,
  'a clean stop removes at once': cleanStop,
  'a stack that stopped and came back is seen again': stoppedAndBack,
  'a killed stack is gone by the end of its time': killed,
  'a killed stack that comes back at once is one peer and stays': killedAndBack,
  'stop takes under a second and ends all events': stopIsQuick,
  'stop leaves nothing open: the process ends by itself': noHandlesLeft,
  'a stack stopped during its start leaves nothing behind': stopAtOnce,
  'garbage is dropped with an event and harms nobody': garbage,
  'a second stack with the same id is seen or refused, never mixed up': sameIdTwice,
  'twenty stacks at once have complete tables': twenty,
  'while the transport is away the peers stay and are stale; afterwards all is well': outage,
} satisfies Record<string, (lab: Lab) => Promise<void>>;

export type CaseName = keyof typeof CASES;
