import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { steadyBits } from '../../bench/control/traffic.ts';
import { parseOptions, wanted } from '../../bench/options.ts';
import { svg } from '../../bench/plot.ts';
import { atLeast, atMost, formatNumber, markdownTable, textTable, verdict } from '../../bench/rows.ts';
import { interleaved, median, percentile, ratioOf } from '../../bench/stats.ts';

test('median and percentile, by the nearest rank', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(percentile([5, 1, 4, 2, 3], 0.5), 3);
  assert.equal(percentile([1, 2, 3], 0.99), 3);
  assert.throws(() => median([]), RangeError);
  assert.throws(() => percentile([], 0.5), RangeError);
  const samples = fc.array(fc.integer(), { minLength: 1 });
  fc.assert(
    fc.property(
      samples,
      (values) => percentile(values, 0) <= median(values) && median(values) <= percentile(values, 1),
    ),
  );
});

test('a ratio is taken round by round: a slow round slows both sides', () => {
  assert.equal(ratioOf([10, 100, 11], [5, 50, 5]), 2);
});

test('interleaved: every variant once a round, each round begins with another; a missing value drops out', async () => {
  const order: string[] = [];
  const variant = (name: string, value: number | undefined) => async () => {
    order.push(name);
    return value;
  };
  const samples = await interleaved(3, { a: variant('a', 1), b: variant('b', 2), c: variant('c', undefined) });
  assert.equal(order.join(''), 'abcbcacab');
  assert.deepEqual(samples, { a: [1, 1, 1], b: [2, 2, 2], c: [] });
});

const ROWS = [
  { id: 'a', what: 'one flow', unit: 'x', goal: atLeast(1), value: 1.02, note: 'a|b' },
  { id: 'b', what: 'memory', unit: 'MiB', goal: atMost(16), value: 17 },
  { id: 'c', what: 'start', unit: 'ms', value: 123.4 },
  { id: 'd', what: 'encrypted', unit: 'x', goal: atLeast(0.95), note: 'not yet' },
];

test('a row says whether its goal is met', () => {
  assert.deepEqual(ROWS.map(verdict), ['met', 'missed', 'reported', 'not measured']);
  const text = textTable(ROWS).split('\n');
  assert.match(text[1]!, /^one flow\s+1\.02 x\s+>= 1\.00 x\s+met/);
  assert.equal(markdownTable(ROWS).split('\n').length, 6);
  assert.match(markdownTable(ROWS), /a\\\|b/);
});

test('numbers have three digits and no exponent', () => {
  assert.deepEqual([0, 0.0123, 1.2345, 45.67, 123.4, 12345].map(formatNumber), [
    '0',
    '0.0123',
    '1.23',
    '45.7',
    '123',
    '12345',
  ]);
});

test('a plot holds every line and point, within its frame', () => {
  const points = [
    [10, 1],
    [100, 25],
    [1000, 400],
  ] as const;
  for (const logarithmic of [true, false]) {
    const lines = [
      { name: 'ours <1>', points },
      { name: 'theirs', points },
    ];
    const text = svg({ id: 'p', title: 'Peers & time', x: 'peers', y: 'ms', logarithmic, lines });
    assert.equal(text.match(/<circle/g)?.length, 6);
    assert.match(text, /ours &lt;1&gt;/);
    assert.match(text, /Peers &amp; time/);
    for (const [, x, y] of text.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g))
      assert.ok(Number(x) >= 70 && Number(x) <= 490 && Number(y) >= 40 && Number(y) <= 310, `${x},${y}`);
  }
});

test('the command line', () => {
  const defaults = parseOptions([]);
  assert.deepEqual(defaults.sections, ['control', 'data']);
  assert.deepEqual(parseOptions(['--quick', '--json', 'x', 'data', '--only', 'a,b']), {
    ...defaults,
    quick: true,
    json: 'x',
    sections: ['data'],
    only: ['a', 'b'],
  });
  assert.throws(() => parseOptions(['--jsn']), /no such argument: --jsn/);
  assert.throws(() => parseOptions(['--json']), /needs a value/);
  assert.ok(wanted([], 'x') && wanted(['data.flow'], 'data.flow.far') && !wanted(['data'], 'start'));
});

test('the announcements of a network are bounded: past 1,500 stacks more of them send no more', () => {
  assert.ok(steadyBits(1000) > 30 * steadyBits(10));
  assert.ok(Math.abs(steadyBits(10_000) / steadyBits(2000) - 1) < 0.05);
});
