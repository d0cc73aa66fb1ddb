/**
 * 100,000 of each kind of false announcement, as datagrams on a wire to a running discovery. It reads every one of them and believes none;
 * each costs less than a true one, and its memory stays.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '../../src/process/clock.ts';
import { encodeMessage } from '../../src/sources/multicast/message.ts';
import type { Gate } from '../../src/trust/gate.ts';
import { until } from '../support/discovery-process.ts';
import { inOwnNamespace } from '../support/own-namespace.ts';
import { record } from '../support/records.ts';
import { gate, key } from '../support/trust.ts';
import { RECEIVER, Wire } from '../support/wire.ts';

inOwnNamespace(import.meta.url);

const COUNT = 100_000;
const HOUR_MS = 3_600_000;
/** A heap that is collected now and then grows and shrinks by some of this; 700,000 datagrams that left 100 bytes each would need 70 MB. */
const MOST_GROWTH_KB = 40_000;
const ENVIRONMENT = { DISCOVERY_KEYS: key(1).toString('base64'), ANNOUNCE_INTERVAL: '1s', PEER_TIMEOUT: '60s' };
const WITH_METRICS = { ...ENVIRONMENT, METRICS_PORT: '9471' };

let wire: Wire;
let receiver: ChildProcess;
let honest: ChildProcess;
/** What an attacker who listens has recorded. */
const ofHonest: Buffer[] = [];
const ofReceiver: Buffer[] = [];
let restKb = 0;
const costs: number[] = [];

const memoryKb = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${receiver.pid}/status`, 'utf8'))?.[1]);
/** Processor time of the receiver in milliseconds; Linux counts in hundredths of a second here (USER_HZ, proc(5)). */
const cpuMs = () => {
  const fields = readFileSync(`/proc/${receiver.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
};
const file = () => JSON.parse(readFileSync(join(wire.processes.folder('stack-a'), 'discovery.json'), 'utf8'));
/** Who is known; not whether it was heard in the last seconds, which the machine's other work decides too. */
const peers = () =>
  file().peers.map(({ stack_id, instance, host_ip, reason }: Record<string, unknown>) => ({
    stack_id,
    instance,
    host_ip,
    reason,
  }));
const bound = () => readdirSync(join(wire.processes.folder('stack-a-identity'), 'peers'));
const knowsHonest = () =>
  until('stack-b is active', 20, () => wire.processes.status('stack-a', 'stack-b') === 'active');

before(async () => {
  wire = await Wire.make();
  receiver = wire.start('stack-a', 'there', WITH_METRICS);
  honest = wire.start('stack-b', 'here', ENVIRONMENT);
  await knowsHonest();
  for (let round = 0; round < 10 && (ofHonest.length < 3 || ofReceiver.length < 3); round += 1) {
    for (const { bytes, from } of await wire.listen(3)) (from === RECEIVER ? ofReceiver : ofHonest).push(bytes);
  }
  assert.ok(ofHonest.length > 2 && ofReceiver.length > 2, `${ofHonest.length} and ${ofReceiver.length} heard`);
  restKb = memoryKb();
});
after(() => wire.end());

const sum = (counts: ReadonlyMap<string, number>) => [...counts.values()].reduce((total, count) => total + count, 0);

/** Sends COUNT of them: each is counted as dropped, nobody is known that was not, or in another way, and memory is what it was. */
async function present(kind: string, make: (index: number) => Buffer, counted = COUNT): Promise<void> {
  const known = peers();
  const droppedBefore = wire.dropped();
  const cpuBefore = cpuMs();
  const began = performance.now();
  await wire.send(receiver, COUNT, make);
  const seconds = (performance.now() - began) / 1000;
  const cost = (1000 * (cpuMs() - cpuBefore)) / COUNT;
  costs.push(cost);
  const dropped = wire.dropped();
  assert.equal(sum(dropped) - sum(droppedBefore), counted, JSON.stringify([...droppedBefore, ...dropped]));
  await knowsHonest();
  assert.deepEqual(peers(), known);
  assert.deepEqual(bound(), ['stack-b']);
  const grownKb = memoryKb() - restKb;
  console.log(
    `${COUNT} ${kind} in ${seconds.toFixed(1)} s: ${cost.toFixed(0)} us of processor each, ${(grownKb / 1024).toFixed(1)} MB more than at rest`,
  );
  assert.ok(grownKb < MOST_GROWTH_KB, `${grownKb} kB more`);
}

const pick = (from: readonly Buffer[], index: number) => from[index % from.length]!;
const announcement = (from: Gate, stackId: string) =>
  encodeMessage(
    { docker_router: 1, type: 'announce', interval_ms: 1000, record: record(3, { stack_id: stackId }) },
    from,
  );
/** A member that the receiver has not heard yet: whole, each of these would be believed. */
const member = gate('stack-c', { clock: systemClock });
const unheard = Array.from({ length: 100 }, () => announcement(member, 'stack-c'));

test('replayed at once', () => present('replayed', (index) => pick(ofHonest, index)));

// A stack hears its own all the time, so they are no news: not counted, and nobody by this name becomes a peer.
test("reflected: the receiver's own", () => present('reflected', (index) => pick(ofReceiver, index), 0));

test('forged: a right header and the rest made up, and whole ones under a key of their own', async () => {
  const stranger = gate('stack-b', { clock: systemClock, keys: [key(9)] });
  const foreign = Array.from({ length: 100 }, () => announcement(stranger, 'stack-b'));
  const noise = randomBytes(65_536);
  await present('forged', (index) => {
    if (index % 10 === 0) return pick(foreign, index / 10);
    const forged = Buffer.from(pick(ofHonest, index));
    noise.copy(forged, 17, index % 60_000);
    forged.writeUInt32LE(index, 40);
    return forged;
  });
});

test('truncated, at every length', () =>
  present('truncated', (index) => {
    const whole = pick(unheard, index);
    return whole.subarray(0, Math.floor(index / unheard.length) % whole.length);
  }));

test('one bit flipped, at every place', () =>
  present('bit-flipped', (index) => {
    const flipped = Buffer.from(pick(unheard, index));
    const bit = (index * 7) % (flipped.length * 8);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    return flipped;
  }));

test('replayed after an hour', async () => {
  wire.moveClocks(HOUR_MS, [receiver, honest]);
  // One of the two was first, and what was sent in between is refused until the next is heard: two that were sent afterwards, and read.
  for (let later = 0; later < 2; ) later += (await wire.listen(1)).filter(({ from }) => from !== RECEIVER).length;
  await wire.send(receiver, 1, () => Buffer.from('read, and all before it'));
  await until('nobody is refused', 20, () => peers().length === 1 && peers()[0].reason === undefined);
  await present('replayed after an hour', (index) => pick(ofHonest, index));
});

test('replayed after a restart of the receiver, which was killed', async () => {
  receiver.kill('SIGKILL');
  await new Promise((resolve) => receiver.once('exit', resolve));
  // What it knew is in discovery.json; that it has heard it anew is to be seen.
  const { last_update } = file();
  receiver = wire.start('stack-a', 'there', WITH_METRICS);
  await until('it is back', 20, () => file().last_update !== last_update);
  await knowsHonest();
  await present('replayed after a restart', (index) => pick(ofHonest, index));
});

test('true ones are believed after all that, and each cost more than any false one', async () => {
  const later = gate('stack-c', { clock: { ...systemClock, wall: () => Date.now() + HOUR_MS } });
  const TRUE = 2000;
  const cpuBefore = cpuMs();
  await wire.send(receiver, TRUE, () => announcement(later, 'stack-c'));
  const cost = (1000 * (cpuMs() - cpuBefore)) / TRUE;
  await until('stack-c is active', 10, () => wire.processes.status('stack-a', 'stack-c') === 'active');
  console.log(`${TRUE} true ones: ${cost.toFixed(0)} us of processor each`);
  for (const false_ of costs) assert.ok(false_ < cost, `${false_} us, and ${cost} us for a true one`);
});
