import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toFlat } from '../../src/record/flat.ts';
import type { StackRecord } from '../../src/record/record.ts';
import {
  differences,
  FADE_MS,
  keyOf,
  merged,
  printable,
  readMembers,
  type Stack,
  type View,
} from '../../src/sources/gossip/members.ts';
import { Roster } from '../../src/sources/gossip/roster.ts';
import { MAX_TAG_BYTES, readTags, recordTags, TagReader, tagBytes } from '../../src/sources/gossip/tags.ts';
import type { SourceEvent } from '../../src/sources/source.ts';
import { record } from '../support/records.ts';

const SELF = record(1);

/** Records from small ones to some that do not fit. */
const anyRecord = fc
  .record({
    n: fc.integer({ min: 2, max: 39_000 }),
    stack_id: fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    subnets: fc.array(fc.nat(255), { maxLength: 16 }),
    key: fc.stringMatching(/^[A-Za-z0-9+/=_-]{1,128}$/),
    seq: fc.nat(Number.MAX_SAFE_INTEGER),
  })
  .map(({ n, stack_id, subnets, key, seq }) =>
    record(n, { stack_id, seq, subnets: subnets.map((i) => `172.30.${i}.0/24`), public_keys: { wireguard: key } }),
  );

function member(of: StackRecord, changes: Record<string, unknown> = {}) {
  const Addr = Uint8Array.from(of.host_ip.split('.').map(Number));
  return { Name: `${of.stack_id}.0`, Addr, Port: 7946, Tags: toFlat(of), Status: 'alive', ...changes };
}

const read = (...members: unknown[]) => readMembers(members, SELF, readTags);
const ids = (view: View) => [...view.stacks.values()].map(({ record: { stack_id } }) => stack_id);
const stacks = (...records: StackRecord[]) =>
  new Map<string, Stack>(records.map((one) => [keyOf(one), { record: one, endpoint: `${one.host_ip}:7946` }]));
const view = (...records: StackRecord[]): View => ({
  stacks: stacks(...records),
  left: new Set(),
  alive: new Set(),
  strangers: [],
});

test('members that are alive are stacks, this one is left out', () => {
  const seen = read(member(SELF), member(record(2)), member(record(3)));
  assert.deepEqual(ids(seen), ['stack-2', 'stack-3']);
  assert.deepEqual(seen.stacks.get(keyOf(record(2))), { record: record(2), endpoint: '192.168.0.2:7946' });
  assert.deepEqual([...seen.alive], ['192.168.0.1:7946', '192.168.0.2:7946', '192.168.0.3:7946']);
});

test('failed, leaving and left members are not there; those who said goodbye are told apart', () => {
  const seen = read(
    member(record(2), { Status: 'failed' }),
    member(record(3), { Status: 'leaving' }),
    member(record(4), { Status: 'left' }),
    member(record(5), { Status: 'none' }),
  );
  assert.deepEqual(ids(seen), []);
  assert.deepEqual([...seen.left], [keyOf(record(3)), keyOf(record(4))]);
  assert.equal(seen.alive.size, 0);
});

test('who says goodbye in its tags has left, whatever Serf thinks of it, and may come back', () => {
  const leaving = member(record(2), { Tags: { ...toFlat(record(2)), bye: '1' } });
  const seen = read(leaving, member(record(3)));
  assert.deepEqual(ids(seen), ['stack-3']);
  assert.deepEqual([...seen.left], [keyOf(record(2))]);
  assert.deepEqual([...seen.alive], ['192.168.0.3:7946']);
  assert.deepEqual(seen.strangers, []);
  const back = read(leaving, member(record(2, { boot: record(2).boot + 9 }), { Name: 'stack-2.1' }));
  assert.deepEqual([ids(back), back.left.size], [['stack-2'], 0]);
});

test('a restarted stack beside its old entries: the newest that is alive counts, whatever their order', () => {
  const old = member(record(2));
  const now = member(record(2, { boot: record(2).boot + 9 }), { Name: 'stack-2.1', Port: 7947 });
  for (const both of [
    [old, now],
    [now, old],
  ]) {
    const seen = read(...both);
    assert.deepEqual(ids(seen), ['stack-2']);
    assert.equal(seen.stacks.get(keyOf(record(2)))!.endpoint, '192.168.0.2:7947');
  }
  const after = read({ ...old, Status: 'left' }, now);
  assert.deepEqual([ids(after), after.left.size], [['stack-2'], 0]);
});

test('two stacks with one id are two stacks: the peer table decides', () => {
  const rival = record(3, { stack_id: 'stack-2' });
  assert.deepEqual(ids(read(member(record(2)), member(rival))), ['stack-2', 'stack-2']);
});

test('a member that is no stack is a stranger, with what is wrong, and hides nobody', () => {
  const seen = read(
    member(record(9), { Name: 'web', Tags: null }),
    member(record(9), { Name: 'db', Tags: { role: 'db' } }),
    member(record(9), { Name: 'bad', Tags: { ...toFlat(record(9)), ip: '999.1.1.1' } }),
    { Name: 7 },
    undefined,
    member(record(2)),
  );
  assert.deepEqual(ids(seen), ['stack-2']);
  assert.deepEqual(seen.strangers.slice(0, 3), [
    { name: 'web', kind: 'no stack', problem: 'it has no tags' },
    { name: 'db', kind: 'no stack', problem: 'its tags are not those of a stack' },
    { name: 'bad', kind: 'no stack', problem: 'host_ip: must be an IPv4 address' },
  ]);
  assert.equal(seen.strangers.length, 5);
});

test('a stranger that is gone is of no interest', () => {
  assert.deepEqual(read(member(record(9), { Tags: null, Status: 'failed' })).strangers, []);
});

test('whatever Serf tells, looking never throws, and every stack is a valid record', () => {
  const tags = fc.oneof(fc.constant(null), fc.dictionary(fc.string(), fc.string()), anyRecord.map(toFlat));
  const anyMember = fc.record({
    Name: fc.string(),
    Addr: fc.uint8Array({ maxLength: 17 }),
    Port: fc.integer(),
    Tags: tags,
    Status: fc.constantFrom('alive', 'failed', 'left', 'leaving', 'none', 'other'),
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(anyMember, fc.anything())), (members) => {
      const seen = readMembers(members, SELF, readTags);
      for (const [key, stack] of seen.stacks) assert.equal(key, keyOf(stack.record));
    }),
  );
});

test('the differences of two looks turn what was known into what is', () => {
  const some = fc
    .uniqueArray(fc.integer({ min: 2, max: 12 }))
    .chain((numbers) =>
      fc.tuple(...numbers.map((n) => fc.nat(2).map((seq) => record(n, { seq })))).map((records) => stacks(...records)),
    );
  fc.assert(
    fc.property(some, some, (before, after) => {
      const table = new Map([...before].map(([key, stack]) => [key, stack.record]));
      for (const event of differences(before, after, new Set())) {
        if (event.type === 'upsert') table.set(keyOf(event.record), event.record);
        else if (event.type === 'remove') assert.ok(table.delete(keyOf(event.gone)));
      }
      assert.deepEqual(
        [...table].sort(),
        [...after].map(([key, stack]): [string, StackRecord] => [key, stack.record]).sort(),
      );
      assert.deepEqual(differences(after, after, new Set()), []);
    }),
  );
});

test('while an agent has not met everybody again nobody is gone, save who said so', () => {
  const known = stacks(record(2), record(3), record(4));
  const seen: View = { ...view(record(3, { seq: 5 })), left: new Set([keyOf(record(4))]) };
  assert.deepEqual(
    [...merged(known, seen).values()].map((stack) => stack.record),
    [record(2), record(3, { seq: 5 })],
  );
});

const types = (events: SourceEvent[]) => events.map((event) => event.type);

test('roster: the first look is a snapshot, then come differences, and a snapshot again after a while', () => {
  const roster = new Roster();
  roster.begin(0, false);
  assert.deepEqual(roster.update(view(record(2)), 10), [{ type: 'snapshot', records: [record(2)], fadeMs: FADE_MS }]);
  assert.deepEqual(types(roster.update(view(record(2), record(3)), 20)), ['upsert']);
  assert.deepEqual(types(roster.update(view(record(3)), 30)), ['remove']);
  assert.deepEqual(types(roster.update(view(record(3)), 40)), []);
  assert.deepEqual(types(roster.update(view(record(3)), 20_000)), ['snapshot']);
});

test('roster: a process that died and starts again takes nobody off the table before it has met them', () => {
  const roster = new Roster();
  roster.begin(0, true);
  assert.deepEqual([roster.settled(50), roster.telling(50)], [false, true]);
  assert.deepEqual(roster.update(view(), 50), []);
  assert.deepEqual(types(roster.update(view(record(2)), 300)), ['upsert']);
  assert.deepEqual(types(roster.update(view(record(2), record(3)), 350)), ['upsert']);
  assert.deepEqual(roster.update(view(record(2), record(3)), 1800), [
    { type: 'snapshot', records: [record(2), record(3)], fadeMs: FADE_MS },
  ]);
});

test('roster: who went silent has a while to come back; who said goodbye is gone at once, also where a snapshot is due', () => {
  for (const at of [30, 20_000]) {
    const roster = new Roster();
    roster.begin(0, false);
    roster.update(view(record(2), record(3), record(4)), 10);
    const events = roster.update({ ...view(record(2)), left: new Set([keyOf(record(3))]) }, at);
    const [goodbye] = events.filter((event) => event.type === 'remove' && event.gone.stack_id === 'stack-3');
    assert.ok(goodbye?.type === 'remove' && goodbye.fadeMs === undefined);
    const rest = events.filter((event) => event !== goodbye);
    assert.deepEqual(
      rest.map((event) => 'fadeMs' in event && event.fadeMs),
      [FADE_MS],
    );
  }
});

test('roster: after the agent was started again the peers stay until it has met them or had the time to', () => {
  const roster = new Roster();
  roster.begin(0, false);
  roster.update(view(record(2), record(3)), 0);
  roster.begin(1000, false);
  assert.deepEqual([roster.settled(1000), roster.telling(1000)], [false, false]);
  assert.deepEqual(roster.update(view(), 1000), []);
  // It meets one of them: the other has a moment more.
  assert.deepEqual(roster.update(view(record(2)), 3000), []);
  assert.equal(roster.settled(4000), false);
  assert.deepEqual(types(roster.update(view(record(2)), 4600)), ['remove']);
  assert.equal(roster.settled(4600), true);
});

test('roster: a restarted agent that meets nobody gives its peers up in the end', () => {
  const roster = new Roster();
  roster.begin(0, false);
  roster.update(view(record(2)), 0);
  roster.begin(1000, false);
  assert.deepEqual(roster.update(view(), 10_900), []);
  assert.deepEqual(roster.update(view(), 11_000), [{ type: 'snapshot', records: [], fadeMs: FADE_MS }]);
});

test('tags: a record that fits comes back as it was', () => {
  fc.assert(
    fc.property(anyRecord, (any) => {
      const tags = recordTags(any);
      if (tags.ok) assert.deepEqual(readTags(tags.value), { ok: true, value: any });
      else assert.ok(tagBytes(toFlat(any)) > MAX_TAG_BYTES);
    }),
  );
});

test('tags: the size is that of MessagePack without str8, as Serf encodes them', () => {
  assert.equal(tagBytes({}), 2);
  assert.equal(tagBytes({ a: '1' }), 2 + 2 + 2);
  assert.equal(tagBytes({ a: 'x'.repeat(31) }), 2 + 2 + 32);
  assert.equal(tagBytes({ a: 'x'.repeat(32) }), 2 + 2 + 35);
  assert.equal(tagBytes({ a: 'ü' }), 2 + 2 + 3);
  const sixteen = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [String.fromCharCode(97 + i), '']));
  assert.equal(tagBytes(sixteen), 1 + 3 + 16 * 3);
});

test('tags: a typical record takes less than half of the room', () => {
  assert.ok(tagBytes(toFlat(record(200))) < 200, String(tagBytes(toFlat(record(200)))));
});

test('tags: a record that does not fit is refused with what to shorten, the largest first', () => {
  const subnets = Array.from({ length: 16 }, (_, i) => `172.30.${100 + i}.0/24`);
  const many = record(1, {
    stack_id: 'x'.repeat(63),
    subnets,
    public_keys: { wireguard: 'k'.repeat(44), identity: 'k'.repeat(43) },
  });
  const tags = recordTags(many);
  assert.ok(!tags.ok);
  assert.match(
    tags.error,
    /takes \d{3} bytes and gossip has room for 512; shorten the subnets .*: 255 bytes, or its public keys: \d+ bytes, or STACK_ID: 63 bytes$/,
  );
});

test('tags: what was read before is remembered as long as it is seen, and a change is read anew', () => {
  const reader = new TagReader();
  const first = reader.read(toFlat(record(2)));
  reader.turn();
  assert.equal(reader.read(toFlat(record(2))), first);
  assert.deepEqual(reader.read(toFlat(record(2, { seq: 2 }))), { ok: true, value: record(2, { seq: 2 }) });
  reader.turn();
  reader.turn();
  const again = reader.read(toFlat(record(2)));
  assert.notEqual(again, first);
  assert.deepEqual(again, first);
});

test("a member's name is printed without what could harm a log", () => {
  assert.equal(printable('a\n\u001b[31mb"'), '"a??[31mb\\""');
  assert.ok(printable('x'.repeat(500)).length < 70);
});
