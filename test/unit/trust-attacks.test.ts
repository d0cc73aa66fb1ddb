/** 100,000 of each kind of false announcement, against the parser and the gate that the daemon uses. None is accepted; memory stays. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { decodeMessage, encodeMessage } from '../../src/sources/multicast/message.ts';
import type { Gate } from '../../src/trust/gate.ts';
import { record } from '../support/records.ts';
import { gate, HandClock, key, newIdentity } from '../support/trust.ts';

const COUNT = 100_000;
/** Less than 40 bytes for each message. */
const MAX_GROWTH_BYTES = 2_000_000;

const clock = new HandClock();
const folder = mkdtempSync(join(tmpdir(), 'trust-'));
const identity = newIdentity();
const receiver = () => gate('stack-a', { clock, identity, identityDir: folder, keys: [key(1), key(2)] });
const announcement = (from: Gate, stackId = 'stack-b') =>
  encodeMessage(
    { docker_router: 1, type: 'announce', interval_ms: 30_000, record: record(2, { stack_id: stackId }) },
    from,
  );

let a = receiver();
const b = gate('stack-b', { clock });
/** What an attacker who listens has recorded. */
const heard = Array.from({ length: 100 }, () => announcement(b));
for (const datagram of heard) assert.ok(decodeMessage(datagram, a).ok);
test.after(() => rmSync(folder, { recursive: true, force: true }));

const pick = (index: number) => heard[index % heard.length]!;

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Bytes in use after everything that can be collected was. */
function collect(): number {
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Presents COUNT datagrams and returns the kinds of refusal. @throws when one is accepted or memory grows. */
function present(make: (index: number) => Buffer): Map<string, number> {
  const kinds = new Map<string, number>();
  const step = (index: number) => {
    const decoded = decodeMessage(make(index), a);
    const kind = decoded.ok ? 'accepted' : decoded.kind;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  };
  // What the first ones need is not growth: compiled code, the heap's own reserve.
  for (let index = 0; index < COUNT / 2; index += 1) step(index);
  const before = collect();
  for (let index = COUNT / 2; index < COUNT; index += 1) step(index);
  const grown = collect() - before;
  assert.equal(kinds.get('accepted') ?? 0, 0, JSON.stringify([...kinds]));
  assert.ok(grown < MAX_GROWTH_BYTES, `memory grew by ${grown} bytes`);
  assert.equal(a.refused(0).length, 0);
  return kinds;
}

test('forged: a right header, the rest made up; and whole ones sealed with a key of their own', () => {
  const size = heard[0]!.length;
  const random = randomBytes(size + 4096);
  const stranger = gate('stack-b', { clock, keys: [key(9)] });
  const foreign = Array.from({ length: 100 }, () => announcement(stranger));
  const kinds = present((index) => {
    if (index % 10 === 0) return foreign[(index / 10) % 100]!;
    const forged = Buffer.from(random.subarray(index % 4096, (index % 4096) + size));
    pick(index).copy(forged, 0, 0, 17);
    forged.writeUInt32LE(index, 40);
    return forged;
  });
  assert.deepEqual([...kinds.keys()].sort(), ['forged', 'sealed with another key']);
});

test('replayed, at once', () => {
  assert.deepEqual([...present(pick)], [['replayed', COUNT]]);
});

test('replayed after a restart of the receiver', () => {
  a.stop();
  a = receiver();
  assert.deepEqual([...present(pick)], [['replayed', COUNT]]);
});

test('replayed after an hour, to one that knows the sender and to one that has lost its memory', () => {
  clock.advance(3_600_000);
  assert.deepEqual([...present(pick)], [['replayed', COUNT]]);
  const forgetful = gate('stack-a', { clock, identity });
  for (const datagram of heard) {
    const decoded = decodeMessage(datagram, forgetful);
    assert.ok(!decoded.ok && decoded.kind === 'out of time');
  }
  assert.ok(decodeMessage(announcement(b), a).ok, 'what is new is believed all the same');
});

test('out of order: one that was held back is not believed after a later one', () => {
  const [first, second] = [announcement(b), announcement(b)];
  assert.ok(decodeMessage(second, a).ok);
  const decoded = decodeMessage(first, a);
  assert.ok(!decoded.ok && decoded.kind === 'replayed');
});

test('truncated, at every length', () => {
  const fresh = Array.from({ length: 100 }, () => announcement(b));
  present((index) => {
    const whole = fresh[index % 100]!;
    return whole.subarray(0, index % whole.length);
  });
});

test('one bit flipped, at every place', () => {
  const fresh = Array.from({ length: 100 }, () => announcement(b));
  present((index) => {
    const flipped = Buffer.from(fresh[index % 100]!);
    const bit = index % (flipped.length * 8);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    return flipped;
  });
});

test('reflected: this stack hears its own, from before and after its restart', () => {
  const before = Array.from({ length: 100 }, () => announcement(a, 'stack-a'));
  a.stop();
  a = receiver();
  const after = Array.from({ length: 100 }, () => announcement(a, 'stack-a'));
  const own = [...before, ...after];
  assert.deepEqual([...present((index) => own[index % own.length]!)], [['own', COUNT]]);
});
