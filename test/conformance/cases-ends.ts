/** Conformance cases about ends: a clean stop, a death, a return, an outage. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lab, until } from './lab.ts';

/** Under a second, says `Source.stop`: the daemon is cut off after 900 ms. */
const STOP_MS = 900;
/** Time in which something that must never happen would have happened. */
export const NEVER_MS = 1500;

export async function cleanStop(lab: Lab): Promise<void> {
  const stacks = lab.runAll(1, 3);
  await lab.complete(stacks);
  const [leaver, ...stayers] = stacks;
  await lab.stop(leaver!);
  for (const stayer of stayers) {
    const others = stayers.filter((other) => other !== stayer).map(({ record }) => record);
    await lab.sees(stayer, others, lab.harness.within.left);
  }
}

export async function killed(lab: Lab): Promise<void> {
  const [a, b] = [lab.run(lab.record(1)), lab.run(lab.record(2))];
  const victim = lab.record(3);
  const doomed = await lab.spawn(victim);
  await lab.sees(a, [b.record, victim]);
  await lab.sees(b, [a.record, victim]);
  await doomed.kill();
  await lab.sees(a, [b.record], lab.harness.within.dead);
  await lab.sees(b, [a.record], lab.harness.within.dead);
}

export async function killedAndBack(lab: Lab): Promise<void> {
  const viewer = lab.run(lab.record(1));
  const first = lab.record(2);
  const doomed = await lab.spawn(first);
  await lab.sees(viewer, [first]);
  await doomed.kill();
  // The same stack, so the same instance, and a later boot as `nextIdentity` gives it.
  const second = lab.run({
    ...first,
    boot: first.boot + 5,
    seq: 1,
    subnets: ['10.76.0.0/24'],
    gateway_ip: '10.76.0.2',
  });
  await lab.complete([viewer, second]);
  // What the first process left behind (its lease, its goodbye by others) must not take the second one along.
  await sleep(lab.harness.within.dead);
  await lab.complete([viewer, second]);
}

export async function stoppedAndBack(lab: Lab): Promise<void> {
  const [viewer, first] = [lab.run(lab.record(1)), lab.run(lab.record(2))];
  await lab.complete([viewer, first]);
  await lab.stop(first);
  const second = lab.run({ ...first.record, boot: first.record.boot + 5, seq: 1 });
  await lab.complete([viewer, second]);
}

export async function stopIsQuick(lab: Lab): Promise<void> {
  const viewer = lab.run(lab.record(1));
  const stack = lab.run(lab.record(2));
  await lab.complete([viewer, stack]);
  const seen = stack.events.length;
  const took = await lab.stop(stack);
  assert.ok(took < STOP_MS, `stop took ${Math.round(took)} ms`);
  const after = stack.events.length;
  viewer.change({ vxlan_port: 6005 });
  await sleep(NEVER_MS);
  assert.equal(stack.events.length, after, `events after stop: ${JSON.stringify(stack.events.slice(seen))}`);
  assert.ok((await lab.stop(lab.create(lab.record(3)))) < STOP_MS, 'stop of a source that was never started');
}

export async function noHandlesLeft(lab: Lab): Promise<void> {
  const viewer = lab.run(lab.record(1));
  const other = lab.record(2);
  const doomed = await lab.spawn(other);
  await lab.sees(viewer, [other]);
  const { stopMs, code } = await doomed.stop();
  assert.equal(code, 0, 'the process does not end by itself after stop: something is still open');
  assert.ok(stopMs < STOP_MS, `stop took ${stopMs} ms`);
  await lab.sees(viewer, [], lab.harness.within.left);
}

export async function stopAtOnce(lab: Lab): Promise<void> {
  const viewer = lab.run(lab.record(1));
  await until(
    () => viewer.works === true,
    lab.harness.within.seen,
    'the viewer works',
    () => viewer.events,
  );
  // At several moments of its start, since each is a chance to leave something behind.
  for (const [n, delay] of [0, 5, 20, 60].entries()) {
    const hasty = lab.run(lab.record(2 + n));
    await sleep(delay);
    assert.ok((await lab.stop(hasty)) < STOP_MS);
  }
  await sleep(NEVER_MS);
  await lab.sees(viewer, [], lab.harness.within.left);
}

export async function outage(lab: Lab): Promise<void> {
  const { outage, within } = lab.harness;
  assert.ok(outage, 'a transport without an outage must skip this case with a reason');
  const [a, b, leaver] = [lab.run(lab.record(1)), lab.run(lab.record(2)), lab.run(lab.record(3))];
  await lab.complete([a, b, leaver]);
  await outage.begin();
  try {
    await until(
      () => a.works === false,
      within.dead,
      'the outage is reported',
      () => a.events.slice(-4),
    );
    assert.match(a.trouble ?? '', /\w{3,}/);
    await sleep(NEVER_MS);
    assert.equal(lab.seenBy(a).length, 2, 'the peers stay while the transport is away');
    assert.ok(
      a.everything().every(({ stale }) => stale),
      'and are stale',
    );
    assert.ok((await lab.stop(leaver)) < STOP_MS, 'stop while the transport is away');
    b.change({ vxlan_port: 6006 });
  } finally {
    await outage.end();
  }
  await lab.sees(a, [b.record], within.dead + within.seen);
  await lab.sees(b, [a.record], within.dead + within.seen);
  await until(
    () => a.works === true && a.everything().every(({ stale }) => !stale),
    within.seen,
    'works again, and nothing is stale',
    () => a.events.slice(-4),
  );
}
