import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_CLAIMS, PeerTable } from '../../src/peers/table.ts';
import { record } from '../support/records.ts';

const LIFE = { staleAfterMs: 100, expireAfterMs: 300 };
const ids = (table: PeerTable, now: number) =>
  table.view(now).map(({ record: r, stale }) => `${r.stack_id}${stale ? ' stale' : ''}`);

test('a silent peer becomes stale, stays, and is gone at its timeout', () => {
  const table = new PeerTable();
  table.upsert('multicast', record(1), 0, LIFE);
  assert.deepEqual(ids(table, 99), ['stack-1']);
  assert.equal(table.nextDeadline(0), 100);
  assert.deepEqual(ids(table, 100), ['stack-1 stale']);
  assert.deepEqual(table.expire(299), []);
  assert.equal(table.expire(300)[0]?.stack_id, 'stack-1');
  assert.equal(table.size, 0);
});

test('a stale peer that speaks again has changed, even when it says the same', () => {
  const table = new PeerTable();
  assert.equal(table.upsert('multicast', record(1), 0, LIFE), 'new');
  assert.equal(table.upsert('multicast', record(1), 50, LIFE), 'refreshed');
  assert.equal(table.upsert('multicast', record(1), 250, LIFE), 'changed');
  assert.deepEqual(ids(table, 250), ['stack-1']);
});

test('an older record of an instance never replaces a newer one', () => {
  const table = new PeerTable();
  table.upsert('multicast', record(1, { seq: 5 }), 0, LIFE);
  assert.equal(table.upsert('multicast', record(1, { seq: 4, host_ip: '10.9.9.9' }), 1, LIFE), 'outdated');
  assert.equal(table.view(1)[0]?.record.host_ip, record(1).host_ip);
  assert.equal(table.upsert('multicast', record(1, { boot: record(1).boot + 1, seq: 0 }), 1, LIFE), 'changed');
});

test('a goodbye older than what is known is ignored', () => {
  const table = new PeerTable();
  const { stack_id, instance, boot } = record(1);
  table.upsert('multicast', record(1, { seq: 5 }), 0, LIFE);
  assert.equal(table.remove('multicast', { stack_id, instance, boot, seq: 4 }, 0), false);
  assert.equal(table.remove('multicast', { stack_id, instance, boot, seq: 5 }, 0), true);
  assert.equal(table.size, 0);
});

test('of several sources the freshest record wins, and losing one does not remove what another sees', () => {
  const table = new PeerTable();
  table.upsert('multicast', record(1, { seq: 1 }), 0, LIFE);
  table.upsert('etcd', record(1, { seq: 2, vxlan_port: 4791 }), 0);
  assert.equal(table.view(0)[0]?.record.vxlan_port, 4791);
  assert.equal(table.view(0).length, 1);
  table.remove('etcd', record(1, { seq: 2 }), 0);
  assert.equal(table.view(0)[0]?.record.vxlan_port, 4789);
  table.expire(300);
  assert.equal(table.size, 0);
});

test('a source out of reach makes its sightings stale and keeps them; a snapshot settles what is left', () => {
  const table = new PeerTable();
  table.snapshot('etcd', [record(1), record(2)], 0);
  table.setReachable('etcd', false, 5);
  assert.deepEqual(ids(table, 1e9), ['stack-1 stale', 'stack-2 stale']);
  table.snapshot('etcd', [record(2)], 1e9);
  assert.deepEqual(ids(table, 1e9), ['stack-2']);
});

test('two claims to one id are two rows; a successor on the same endpoint takes the row over', () => {
  const table = new PeerTable();
  table.upsert('multicast', record(1), 0, LIFE);
  table.upsert('multicast', record(2, { stack_id: 'stack-1' }), 0, LIFE);
  assert.equal(table.view(0).length, 2);
  const reborn = record(1, { instance: 'f'.repeat(16), boot: record(1).boot + 9 });
  table.upsert('multicast', reborn, 1, LIFE);
  assert.deepEqual(
    table.view(1).map(({ record: r }) => r.instance),
    ['0000000000000002', 'f'.repeat(16)],
  );
});

test('claims to one id are bounded', () => {
  const table = new PeerTable();
  for (let n = 1; n <= MAX_CLAIMS; n++)
    assert.equal(table.upsert('multicast', record(n, { stack_id: 'x' }), 0, LIFE), 'new');
  assert.equal(table.upsert('multicast', record(99, { stack_id: 'x' }), 0, LIFE), 'full');
});

test('whatever happens, the table shows exactly the stacks that some source still sees', () => {
  const source = fc.constantFrom('multicast', 'etcd');
  const n = fc.integer({ min: 1, max: 4 });
  const step = fc.oneof(
    fc.record({ do: fc.constant('upsert' as const), source, n }),
    fc.record({ do: fc.constant('remove' as const), source, n }),
    fc.record({ do: fc.constant('snapshot' as const), source, ns: fc.uniqueArray(n) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const table = new PeerTable();
      const model = new Map<string, Set<number>>([
        ['multicast', new Set()],
        ['etcd', new Set()],
      ]);
      for (const s of steps) {
        const seen = model.get(s.source)!;
        if (s.do === 'upsert') {
          table.upsert(s.source, record(s.n), 0);
          seen.add(s.n);
        } else if (s.do === 'remove') {
          table.remove(s.source, record(s.n), 0);
          seen.delete(s.n);
        } else {
          table.snapshot(
            s.source,
            s.ns.map((m) => record(m)),
            0,
          );
          model.set(s.source, new Set(s.ns));
        }
      }
      const expected = [...new Set([...model.values()].flatMap((seen) => [...seen]))].sort().map((m) => `stack-${m}`);
      assert.deepEqual(ids(table, 0), expected);
    }),
  );
});

test('time in which a source was deaf puts off the end of what it sees, not its being stale, and not what another sees', () => {
  const table = new PeerTable();
  table.upsert('multicast', record(1), 0, { staleAfterMs: 10, expireAfterMs: 100 });
  table.upsert('gossip', record(2), 0, { staleAfterMs: 10, expireAfterMs: 100 });
  table.putOff('multicast', 50);
  assert.deepEqual(
    table.expire(149).map(({ stack_id }) => stack_id),
    ['stack-2'],
  );
  assert.deepEqual(
    table.view(149).map(({ stale }) => stale),
    [true],
  );
  assert.equal(table.nextDeadline(149), 150);
  assert.equal(table.expire(150).length, 1);
});

test('what fades is not put off: its source has told its end', () => {
  const table = new PeerTable();
  table.upsert('multicast', record(1), 0, { staleAfterMs: 10, expireAfterMs: 1000 });
  table.remove('multicast', record(1), 0, 100);
  table.putOff('multicast', 50);
  assert.equal(table.expire(100).length, 1);
});
