/** Several sources at once in the peer table. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PeerTable } from '../../src/peers/table.ts';
import { record } from '../support/records.ts';

const LIFE = { staleAfterMs: 100, expireAfterMs: 300 };

test('a stack without a lifetime is seen for as long as its source is in reach', () => {
  const table = new PeerTable();
  table.snapshot('etcd', [record(1)], 10);
  assert.equal(table.view(5000)[0]?.seenAt, 5000);
  table.setReachable('etcd', false, 6000);
  table.setReachable('etcd', false, 7000);
  assert.deepEqual([table.view(9000)[0]?.seenAt, table.view(9000)[0]?.stale], [6000, true]);
  table.setReachable('etcd', true, 9500);
  assert.deepEqual([table.view(9600)[0]?.seenAt, table.view(9600)[0]?.stale], [9600, false]);
});

test('a stack with a lifetime was seen when it last spoke', () => {
  const table = new PeerTable();
  table.upsert('multicast', record(1), 10, LIFE);
  assert.equal(table.view(60)[0]?.seenAt, 10);
});

test('one source out of reach does not make stale what another sees, nor does one that says nothing any more', () => {
  const table = new PeerTable();
  table.snapshot('etcd', [record(1)], 0);
  table.upsert('multicast', record(1), 0, LIFE);
  table.setReachable('etcd', false, 10);
  assert.equal(table.view(50)[0]?.stale, false);
  assert.equal(table.view(150)[0]?.stale, true, 'neither sees it freshly');
  table.setReachable('etcd', true, 160);
  table.expire(400);
  assert.deepEqual(
    table.view(400).map(({ source, stale }) => [source, stale]),
    [['etcd', false]],
  );
});

test('a snapshot without a stack does not remove it while another source sees it', () => {
  const table = new PeerTable();
  table.snapshot('etcd', [record(1), record(2)], 0);
  table.upsert('multicast', record(1), 0, LIFE);
  table.snapshot('etcd', [], 10);
  assert.deepEqual(
    table.view(20).map((known) => [known.record.stack_id, known.source]),
    [['stack-1', 'multicast']],
  );
});

test('what a source no longer sees may fade: it stays, stale, for the time given, which nothing prolongs', () => {
  const table = new PeerTable();
  table.snapshot('etcd', [record(1), record(2), record(3)], 0);
  assert.equal(table.remove('etcd', record(1), 100, 50), true);
  table.setReachable('etcd', false, 110);
  table.snapshot('etcd', [record(3)], 120, undefined, 50);
  assert.deepEqual(
    table.view(120).map(({ record: { stack_id }, stale, seenAt }) => [stack_id, stale, seenAt]),
    [
      ['stack-1', true, 100],
      ['stack-2', true, 110],
      ['stack-3', false, 120],
    ],
  );
  assert.equal(table.nextDeadline(120), 150);
  assert.deepEqual(
    table.expire(150).map(({ stack_id }) => stack_id),
    ['stack-1'],
  );
  assert.equal(table.upsert('etcd', record(2), 160), 'changed', 'it came back');
  assert.deepEqual([table.view(1e6)[0]?.stale, table.nextDeadline(1e6)], [false, Number.POSITIVE_INFINITY]);
});

test('what fades gives way to another claim to its id', () => {
  const table = new PeerTable();
  table.snapshot('etcd', [record(1)], 0);
  table.remove('etcd', record(1), 100, 50);
  const successor = record(2, { stack_id: 'stack-1' });
  assert.equal(table.upsert('etcd', successor, 110), 'new');
  assert.deepEqual(
    table.view(110).map((known) => known.record),
    [successor],
  );
});

test('whatever the sources do, the record shown is the freshest that any of them still holds', () => {
  const step = fc.record({
    source: fc.constantFrom('multicast', 'etcd', 'dns'),
    seq: fc.integer({ min: 1, max: 6 }),
    act: fc.constantFrom('upsert', 'remove', 'snapshot', 'down', 'up'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const table = new PeerTable();
      const held = new Map<string, number>();
      for (const { source, seq, act } of steps) {
        if (act === 'upsert') {
          table.upsert(source, record(1, { seq }), 0);
          held.set(source, Math.max(seq, held.get(source) ?? 0));
        } else if (act === 'remove') {
          table.remove(source, record(1, { seq: 99 }), 0);
          held.delete(source);
        } else if (act === 'snapshot') {
          table.snapshot(source, [], 0);
          held.delete(source);
        } else table.setReachable(source, act === 'up', 0);
      }
      const shown = table.view(0).map((known) => known.record.seq);
      assert.deepEqual(shown, held.size === 0 ? [] : [Math.max(...held.values())]);
    }),
  );
});
