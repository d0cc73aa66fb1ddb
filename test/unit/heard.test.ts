import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Heard } from '../../src/sources/multicast/heard.ts';
import { type Decoded, decodeMessage, encodeMessage, type Message } from '../../src/sources/multicast/message.ts';
import { record } from '../support/records.ts';

const announcement = (n: number): Message => ({
  docker_router: 1,
  type: 'announce',
  interval_ms: 30_000,
  record: record(2, { seq: n }),
});
const messageIn = (decoded: Decoded) => (decoded.ok ? decoded.value : undefined);

test('an announcement that is heard again is not read again, one that differs in a byte is', () => {
  const heard = new Heard();
  const first = messageIn(heard.decode(encodeMessage(announcement(1))));
  assert.deepEqual(first, announcement(1));
  assert.equal(messageIn(heard.decode(encodeMessage(announcement(1)))), first);
  assert.deepEqual(messageIn(heard.decode(encodeMessage(announcement(2)))), announcement(2));
  heard.turn();
  assert.equal(messageIn(heard.decode(encodeMessage(announcement(1)))), first);
  heard.turn();
  heard.turn();
  const anew = messageIn(heard.decode(encodeMessage(announcement(1))));
  assert.deepEqual(anew, first);
  assert.notEqual(anew, first);
});

test('whatever comes, however often, is read as if it came for the first time', () => {
  const heard = new Heard();
  const query: Message = { docker_router: 1, type: 'query', stack_id: 'stack-b', instance: 'a'.repeat(16) };
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 1200 }).map((array) => Buffer.from(array)),
    fc.integer({ min: 0, max: 5 }).map((n) => encodeMessage(announcement(n))),
    fc.constant(encodeMessage(query)),
  );
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 20 }), (datagrams) => {
      for (const datagram of [...datagrams, ...datagrams])
        assert.deepEqual(heard.decode(datagram), decodeMessage(datagram));
    }),
  );
});

test('a flood of different announcements is not kept', () => {
  const heard = new Heard();
  for (let n = 0; n < 2500; n += 1) heard.decode(encodeMessage(announcement(n)));
  const late = () => messageIn(heard.decode(encodeMessage(announcement(2400))));
  assert.deepEqual(late(), announcement(2400));
  assert.notEqual(late(), late());
});
