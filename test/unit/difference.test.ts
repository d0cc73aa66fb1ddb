import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { discoveryInput, peer } from '../../bench/control/peers.ts';
import { acceptChanges, acceptPeers, difference } from '../../src/router/discovery-input.ts';

const entries = (numbers: readonly number[], moved: readonly number[] = []) =>
  discoveryInput(numbers.map((n) => peer(n, moved.includes(n) ? { host_ip: '198.19.0.1' } : {}))).peers;
const ids = (peers: readonly { stack_id: string }[]) => peers.map(({ stack_id }) => stack_id);
const judged = (numbers: readonly number[], more: readonly ReturnType<typeof peer>[] = []) => {
  const input = discoveryInput([...numbers.map((n) => peer(n)), ...more]);
  return { input, whole: acceptPeers(input, ['172.30.0.0/24'], ['10.0.0.0/8']) };
};

const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 20 });

test('what differs between two lists is found whatever they have in common', () => {
  fc.assert(
    fc.property(numbers, numbers, fc.subarray([1, 2, 3, 4, 5, 6, 7, 8]), (from, to, moved) => {
      const { lost, gained, between } = difference(entries(from), entries(to, moved));
      const changed = (list: readonly number[], other: readonly number[]) =>
        list.filter((n) => !other.includes(n) || moved.includes(n)).map((n) => `bench-${n}`);
      assert.deepEqual(ids(lost), changed(from, to));
      assert.deepEqual(ids(gained), changed(to, from));
      for (const one of gained) assert.ok(between.includes(one));
    }),
  );
});

test('one change among many leaves one entry to be looked at', () => {
  const many = Array.from({ length: 1000 }, (_, n) => n + 1);
  assert.equal(difference(entries(many), entries(many)).between.length, 0);
  assert.deepEqual(ids(difference(entries(many), entries(many, [500])).between), ['bench-500']);
  assert.deepEqual(ids(difference(entries(many), entries(many.toSpliced(700, 1))).lost), ['bench-701']);
});

test('an id that comes twice is left to the judge, wherever the second entry stands', () => {
  const first = [1, 2, 3, 4];
  for (const at of [0, 1, 2, 3, 4])
    for (const twice of [peer(3), peer(3, { instance: 'e'.repeat(16) })]) {
      const { input } = judged(first);
      const next = { ...input, peers: input.peers.toSpliced(at, 0, ...discoveryInput([twice]).peers) };
      assert.equal(acceptChanges(judged(first).whole, next), undefined, `second entry at ${at}`);
    }
  assert.equal(acceptChanges(judged(first).whole, judged([8, 3, 3, 9]).input), undefined, 'among other changes');
});

test('what is accepted from the changes alone is what the judge accepts of the whole', () => {
  fc.assert(
    fc.property(numbers, numbers, (from, to) => {
      const { input, whole } = judged(to);
      const stepped = acceptChanges(judged(from).whole, input);
      assert.deepEqual(ids(stepped!.peers), ids(whole.peers));
    }),
  );
  assert.equal(
    acceptChanges(judged([1, 2]).whole, judged([1, 2], [peer(9, { subnets: ['10.100.1.0/24'] })]).input),
    undefined,
  );
});
