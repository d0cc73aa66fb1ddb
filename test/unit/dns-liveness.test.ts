/** Readers and stacks in simulated time: clocks of every host wrong in their own way, answers late, servers away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Entry, Lease } from '../../src/sources/dns/entry.ts';
import { isAlive, type Look, observe, type Sightings } from '../../src/sources/dns/liveness.ts';
import { record } from '../support/records.ts';

const EPOCH = 1_700_000_000;
const INTERVAL = 5000;
const TIMEOUT = 90_000;

const entry = (lease: Partial<Lease> | undefined, changes: Parameters<typeof record>[1] = {}): Entry => ({
  record: record(1, changes),
  lease: lease && { seconds: 90, until: EPOCH + 90, renewals: 1, ...lease },
  instanceKnown: true,
});

/** A reader that started at `startMs` and whose wall clock is `skewSeconds` ahead of the true one. */
class Reader {
  sightings: Sightings = new Map();
  #lastAt: number | undefined;
  #skew: number;

  constructor(skewSeconds = 0) {
    this.#skew = skewSeconds;
  }

  /** Looks at true time `at` (ms) and sees `found`. Returns whether the stack is a peer. */
  look(at: number, found: Entry | undefined, changes: Partial<Look> = {}, other?: Entry): boolean {
    const look: Look = {
      at,
      lastAt: this.#lastAt,
      sameServer: this.#lastAt !== undefined,
      nowSeconds: EPOCH + at / 1000 + this.#skew,
      intervalMs: INTERVAL,
      peerTimeoutMs: TIMEOUT,
      updatesFail: false,
      ...changes,
    };
    const entries = new Map<string, Entry>();
    if (found) entries.set('stack-1', found);
    if (other) entries.set('other', other);
    this.sightings = observe(this.sightings, entries, look);
    this.#lastAt = at;
    const seen = this.sightings.get('stack-1');
    return seen !== undefined && isAlive(seen, look);
  }

  get seen() {
    return this.sightings.get('stack-1')!;
  }
}

/** What a stack that renews every 30 s from time 0 until `diesAt` has in the zone at `at`; its clock is `skewSeconds` ahead. */
function written(at: number, skewSeconds = 0, diesAt = Number.POSITIVE_INFINITY): Entry {
  const renewals = Math.floor(Math.min(at, diesAt) / 30_000);
  return entry({ renewals: renewals + 1, until: EPOCH + renewals * 30 + 90 + skewSeconds });
}

test('a stack that is alive is a peer at the first look', () => {
  assert.equal(new Reader().look(29_000, written(29_000)), true);
});

test("a dead stack's leftovers are no peer, however young or old", () => {
  for (const at of [50_000, 91_000, 600_000, 1e9])
    assert.equal(new Reader().look(at, written(at, 0, 0)), false, `${at}`);
});

test('a newcomer waits for a sign of life where the end of the lease is out of the question', () => {
  const reader = new Reader(600);
  assert.equal(reader.look(1000, written(1000)), false);
  assert.equal(reader.look(6000, written(6000)), false);
  assert.equal(reader.look(31_000, written(31_000)), true);
  assert.equal(reader.seen.skewSeconds, -601);
});

test('what appears while we look is alive, whatever the clocks say; from another server it may be old', () => {
  const reader = new Reader(-600);
  reader.look(0, undefined);
  assert.equal(reader.look(5000, written(5000)), true);
  const other = new Reader();
  other.look(0, undefined);
  assert.equal(other.look(600_000, written(600_000, 0, 0), { sameServer: false }), false);
});

test('the last renewal counts: stale when the next one is missed, gone by its end', () => {
  const reader = new Reader();
  const peers: number[] = [];
  for (let at = 0; at <= 200_000; at += INTERVAL) if (reader.look(at, written(at, 0, 40_000))) peers.push(at);
  // The last renewal was at 30 s.
  assert.deepEqual([peers[0], peers.at(-1)], [0, 110_000]);
  const stale = new Reader();
  for (let at = 0; at <= 85_000; at += INTERVAL) stale.look(at, written(at, 0, 40_000));
  assert.equal(stale.seen.overdue, true);
  stale.look(90_000, written(90_000));
  assert.equal(stale.seen.overdue, false);
});

test('while nobody could renew or be read, time does not count', () => {
  const frozen = written(0);
  const held = new Reader();
  for (let at = 0; at <= 600_000; at += INTERVAL)
    assert.equal(held.look(at, frozen, { updatesFail: at > 0 }, entry(undefined)), true, `held at ${at}`);
  assert.equal(held.seen.overdue, true);
  const away = new Reader();
  away.look(0, frozen);
  assert.equal(away.look(600_000, frozen), true, 'the first look after ten minutes without an answer');
});

test('where others renew, the server does not fail them, and silence counts', () => {
  const reader = new Reader();
  const peers: number[] = [];
  for (let at = 0; at <= 300_000; at += INTERVAL) {
    if (reader.look(at, written(at, 0, 40_000), { updatesFail: true }, written(at))) peers.push(at);
  }
  assert.equal(peers.at(-1), 110_000);
});

test('an older copy of an entry is no sign of life', () => {
  const reader = new Reader();
  for (let at = 0; at <= 300_000; at += INTERVAL) {
    const found = written(at % 10_000 ? 30_000 : 0);
    assert.equal(reader.look(at, found), at < 90_000, `at ${at}`);
    if (at >= INTERVAL) assert.equal(reader.seen.entry.lease!.renewals, 2, 'the newer one stays');
  }
});

test('another instance, a later boot and a later publication are signs of life; an entry without a lease needs none', () => {
  for (const changes of [{ instance: 'f'.repeat(16) }, { boot: record(1).boot + 1, seq: 0 }, { seq: 2 }]) {
    const reader = new Reader();
    reader.look(0, written(0, 0, 0));
    for (let at = INTERVAL; at <= 200_000; at += INTERVAL) reader.look(at, written(at, 0, 0));
    assert.equal(reader.look(205_000, entry({}, changes)), true, JSON.stringify(changes));
  }
  const reader = new Reader();
  for (let at = 0; at <= 1e7; at += 1e6) assert.equal(reader.look(at, entry(undefined)), true);
});

test('a stack with a longer lease than PEER_TIMEOUT is waited for', () => {
  const reader = new Reader();
  const slow = entry({ seconds: 600, until: EPOCH + 600 });
  for (let at = 0; at < 600_000; at += INTERVAL) assert.equal(reader.look(at, slow, { peerTimeoutMs: 30_000 }), true);
  assert.equal(reader.look(600_000, slow), false);
});

test('no clock, however wrong, costs a living stack its place; a dead one is gone by its timeout', () => {
  const clock = fc.oneof(fc.integer({ min: -700, max: 700 }), fc.integer({ min: -1e8, max: 1e8 }));
  const run = fc.record({
    readerSkew: clock,
    writerSkew: clock,
    began: fc.integer({ min: 0, max: 100_000 }),
    late: fc.array(fc.integer({ min: 0, max: 2000 }), { minLength: 80, maxLength: 80 }),
    lives: fc.integer({ min: 100_000, max: 250_000 }),
  });
  fc.assert(
    fc.property(run, ({ readerSkew, writerSkew, began, late, lives }) => {
      const reader = new Reader(readerSkew);
      let since: number | undefined;
      for (const [n, delay] of late.entries()) {
        const at = began + n * INTERVAL + delay;
        const peer = reader.look(at, written(at, writerSkew, lives));
        const lastRenewal = Math.floor(lives / 30_000) * 30_000;
        if (at <= lives) {
          if (since !== undefined) assert.ok(peer, `lost at ${at} while alive`);
          if (at > began + 40_000) assert.ok(peer, `still no peer at ${at}`);
          // At first a wrong clock may make it look older than it is, until the first renewal.
          if (peer && at > began + 40_000) assert.ok(!reader.seen.overdue, `stale at ${at} while alive`);
        }
        // Two looks may be two intervals apart.
        if (at >= lastRenewal + TIMEOUT + 2 * INTERVAL) assert.ok(!peer, `still a peer at ${at}, dead since ${lives}`);
        if (peer) since ??= at;
      }
    }),
  );
});
