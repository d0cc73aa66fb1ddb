import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { StackRecord } from '../../src/record/record.ts';
import { after, decode, encode, everythingBelow, recordKey, stackIdOf } from '../../src/sources/etcd/keys.ts';
import { LineSplitter } from '../../src/sources/etcd/lines.ts';
import { View } from '../../src/sources/etcd/view.ts';
import { record } from '../support/records.ts';

const P = '/docker-router/discovery';
const own = record(99);
const kv = (key: string, value: string | StackRecord) => ({
  key: encode(key),
  value: encode(typeof value === 'string' ? value : JSON.stringify(value)),
  mod_revision: '1',
  lease: '0',
});
const of = (value: StackRecord) => kv(recordKey(P, value.stack_id), value);

describe('keys', () => {
  test('a stack and its key', () => {
    assert.equal(recordKey(P, 'stack-a'), '/docker-router/discovery/stack-a/record');
    assert.equal(stackIdOf(P, '/docker-router/discovery/stack-a/record'), 'stack-a');
  });

  test('every other key is foreign', () => {
    for (const key of [
      '',
      P,
      `${P}/`,
      `${P}/a`,
      `${P}/a/b`,
      `${P}//record`,
      `${P}/record`,
      `${P}/a/b/record`,
      `${P}x/a/record`,
      `/x${P}/a/record`,
    ]) {
      assert.equal(stackIdOf(P, key), undefined, key);
    }
  });

  test('the range holds all that begins with the prefix and a slash, and nothing else', () => {
    const { key, range_end } = everythingBelow(P);
    assert.deepEqual([decode(key), decode(range_end)], [`${P}/`, `${P}0`]);
    fc.assert(
      fc.property(fc.string(), fc.boolean(), (rest, below) => {
        const text = below ? `${P}/${rest}` : rest;
        const bytes = Buffer.from(text);
        const inside =
          Buffer.compare(bytes, Buffer.from(`${P}/`)) >= 0 && Buffer.compare(bytes, Buffer.from(`${P}0`)) < 0;
        assert.equal(inside, text.startsWith(`${P}/`));
      }),
    );
  });

  test('the next page begins right after the last key', () => {
    assert.deepEqual([...Buffer.from(after(encode('ab')), 'base64')], [97, 98, 0]);
  });
});

describe('view', () => {
  test('a key that is put, changed and deleted', () => {
    const view = new View(P, own);
    assert.deepEqual(view.put(of(record(1))), [{ type: 'upsert', record: record(1) }]);
    assert.deepEqual(view.put(of(record(1, { seq: 2 }))), [{ type: 'upsert', record: record(1, { seq: 2 }) }]);
    const { stack_id, instance } = record(1);
    assert.deepEqual(view.delete(of(record(1)), 0), [{ type: 'remove', gone: { stack_id, instance } }]);
    assert.deepEqual(view.delete(of(record(1)), 0), []);
    assert.ok(view.isWhole(0));
  });

  test('keys that are no text stay apart, so that it holds as many as etcd counts', () => {
    const view = new View(P, own);
    for (const bytes of [[0xff], [0xfe]]) {
      view.put({ key: Buffer.from(bytes).toString('base64'), value: '' });
    }
    assert.ok(view.isWhole(2));
  });

  test('who goes without a goodbye stays for a while, and who had no networks left does not', () => {
    const view = new View(P, own);
    const { stack_id, instance } = record(1);
    view.put(of(record(1)));
    assert.deepEqual(view.delete(of(record(1)), 50), [{ type: 'remove', gone: { stack_id, instance }, fadeMs: 50 }]);
    view.put(of(record(1)));
    view.put(of(record(1, { subnets: [], seq: 2 })));
    assert.deepEqual(view.delete(of(record(1)), 50), [{ type: 'remove', gone: { stack_id, instance } }]);
  });

  test('another instance at a key replaces the one before', () => {
    const view = new View(P, own);
    view.put(of(record(1)));
    const other = record(2, { stack_id: 'stack-1' });
    assert.deepEqual(view.put(of(other)), [
      { type: 'remove', gone: { stack_id: 'stack-1', instance: record(1).instance } },
      { type: 'upsert', record: other },
    ]);
  });

  test('the own record is nobody’s news, but a rival at the own key is', () => {
    const view = new View(P, own);
    assert.deepEqual(view.put(of(own)), []);
    const rival = record(3, { stack_id: own.stack_id });
    assert.deepEqual(view.put(of(rival)), [{ type: 'upsert', record: rival }]);
    assert.deepEqual(view.put(of(own)), [
      { type: 'remove', gone: { stack_id: own.stack_id, instance: rival.instance } },
    ]);
    assert.deepEqual(view.delete(of(own), 0), []);
  });

  test('what is not ours is dropped by name; the record that was there before stays until the key goes', () => {
    const view = new View(P, own);
    view.put(of(record(1)));
    const key = recordKey(P, 'stack-1');
    const cases: [ReturnType<typeof kv>, string][] = [
      [kv(`${P}/x`, '{}'), 'foreign key'],
      [kv(key, 'oops'), 'malformed record'],
      [kv(key, '{}'), 'malformed record'],
      [kv(key, 'x'.repeat(3_000_000)), 'malformed record'],
      [kv(key, record(2)), 'misplaced record'],
      [kv(`${P}/Stack_1/record`, { ...record(1), stack_id: 'Stack_1' }), 'malformed record'],
    ];
    for (const [row, kind] of cases) {
      const [event, ...more] = view.put(row);
      assert.deepEqual([event?.type, event?.type === 'dropped' && event.kind, more.length], ['dropped', kind, 0]);
      assert.ok(event?.type === 'dropped' && event.message.length < 400);
    }
    assert.equal(view.delete(kv(key, ''), 0)[0]?.type, 'remove');
    assert.deepEqual(view.delete(kv(`${P}/x`, ''), 0), []);
  });

  test('whatever bytes the keys and values hold, it throws nothing and tells of no stack but valid ones', () => {
    const text = fc.oneof(fc.string(), fc.constantFrom(`${P}/a/record`, `${P}/b/record`), fc.json());
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text, fc.boolean())), (rows) => {
        const view = new View(P, own);
        for (const [key, value, put] of rows) {
          for (const event of put ? view.put(kv(key, value)) : view.delete(kv(key, ''), 0)) {
            assert.equal(event.type, 'dropped');
          }
        }
      }),
    );
  });
});

describe('lines', () => {
  test('however the bytes are cut, the lines are the same', () => {
    const lines = fc.array(fc.string({ minLength: 1 }).filter((line) => !line.includes('\n')));
    fc.assert(
      fc.property(lines, fc.array(fc.nat(20)), (wanted, cuts) => {
        const bytes = Buffer.from(wanted.map((line) => `${line}\n`).join('\n'));
        const splitter = new LineSplitter(1000);
        const got: string[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          got.push(...splitter.push(bytes.subarray(at, at + cut)));
          at += cut;
        }
        assert.deepEqual(got, wanted);
      }),
    );
  });

  test('a line without end is an error', () => {
    const splitter = new LineSplitter(10);
    assert.deepEqual(splitter.push(Buffer.from('0123456789')), []);
    assert.throws(() => splitter.push(Buffer.from('0')), /line of more than 10 bytes/);
  });
});
