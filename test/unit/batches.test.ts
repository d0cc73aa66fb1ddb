import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batches } from '../../src/kernel/apply.ts';

const NONE = { bridgeAdd: [], ipAdd: [], nft: [], ipDelete: [], bridgeDelete: [] };

test('lines run in the order of the plan, neighbours of one program in one process', () => {
  const all = { bridgeAdd: ['1'], ipAdd: ['2'], nft: ['3'], ipDelete: ['4'], bridgeDelete: ['5'] };
  assert.deepEqual(
    batches(all).map(({ program, lines }) => [program, ...lines]),
    [
      ['bridge', '1'],
      ['ip', '2'],
      ['nft', '3'],
      ['ip', '4'],
      ['bridge', '5'],
    ],
  );
  assert.deepEqual(batches({ ...all, nft: [] })[1], { program: 'ip', lines: ['2', '4'] });
  assert.deepEqual(batches({ ...NONE, bridgeAdd: ['new'], bridgeDelete: ['old'] }), [
    { program: 'bridge', lines: ['new', 'old'] },
  ]);
  assert.deepEqual(batches(NONE), []);
});
