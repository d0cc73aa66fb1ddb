/** When the chaos campaign calls lost probes a violation: neither of this machine's queues nor of nothing measured. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readLook } from '../chaos/look.ts';
import { count, judge } from '../chaos/lost.ts';
import { anyOpen, silences } from '../chaos/stats.ts';

const CALM = {
  gapMs: 0,
  lost: 0,
  sent: 30_000,
  fewest: 1000,
  others: { lost: 0, fewest: 1000 },
  overflow: 0,
  stallMs: 4,
  wrong: [],
};
const AROUND = { full: 0, due: 1000, missing: [] };
const LOSSLESS = { lossless: true };

test('one lost probe is a violation where none may be, and none where some may', () => {
  assert.match(judge(LOSSLESS, { ...CALM, lost: 1 }, AROUND).violation!, /^1 of 30000 probes lost/);
  assert.deepEqual(judge({}, { ...CALM, lost: 1 }, AROUND), {});
  assert.deepEqual(judge(LOSSLESS, CALM, AROUND), {});
});

test('more lost than were dropped elsewhere is a violation; as many, or fewer, say nothing and are no success either', () => {
  assert.match(judge(LOSSLESS, { ...CALM, lost: 8 }, { ...AROUND, full: 7 }).violation!, /7 packets by full queues/);
  assert.match(judge(LOSSLESS, { ...CALM, lost: 7 }, { ...AROUND, full: 7 }).unjudged!, /^7 of/);
  assert.deepEqual(judge(LOSSLESS, CALM, { ...AROUND, full: 7 }), {});
});

test('a gap longer than promised is a violation', () => {
  assert.match(judge({ mostGapMs: 1500 }, { ...CALM, gapMs: 1501, lost: 9 }, AROUND).violation!, /1501 ms/);
  assert.deepEqual(judge({ mostGapMs: 1500 }, { ...CALM, gapMs: 1500, lost: 9 }, AROUND), {});
});

test('what was not measured is no success: no counters, too few probes, a service that stood still', () => {
  assert.match(judge(LOSSLESS, CALM, { ...AROUND, missing: ['two'] }).violation!, /two/);
  assert.match(judge(LOSSLESS, { ...CALM, fewest: 499 }, AROUND).unjudged!, /499/);
  assert.match(judge(LOSSLESS, { ...CALM, fewest: 0, sent: 0 }, AROUND).unjudged!, /0 probes/);
  assert.match(judge(LOSSLESS, { ...CALM, stallMs: 801, lost: 5 }, AROUND).unjudged!, /801 ms/);
  assert.deepEqual(judge(LOSSLESS, { ...CALM, stallMs: 801 }, AROUND), {});
});

test('where one stack is hit its own pairs may lose probes and start anew, and no others', () => {
  assert.deepEqual(judge({ local: true }, { ...CALM, lost: 900, fewest: 3 }, AROUND), {});
  const others = { lost: 2, fewest: 1000 };
  assert.match(judge({ local: true }, { ...CALM, lost: 900, others }, AROUND).violation!, /^2 .* not hit/);
  assert.match(judge({ local: true }, { ...CALM, others: { lost: 0, fewest: 9 } }, AROUND).unjudged!, /sent 9/);
});

test('the counters of all services are one: sums, the longest gap and stall, the fewest probes', () => {
  const pair = { to: 'b', sent: 10, lost: 1, gapMs: 3, silentMs: 0, open: 0, tcpSilentMs: 0, tcpResets: 0 };
  const stats = { name: 'a', stallMs: 2, overflow: 1, wrong: ['x'], pairs: [pair, { ...pair, sent: 4, gapMs: 9 }] };
  const all = count(
    [stats, { ...stats, name: 'b', stallMs: 5, wrong: [], pairs: [{ ...pair, to: 'c' }] }],
    new Set(['a']),
  );
  assert.deepEqual(all, {
    gapMs: 9,
    lost: 3,
    sent: 24,
    fewest: 4,
    others: { lost: 1, fewest: 10 },
    overflow: 2,
    stallMs: 5,
    wrong: ['x'],
  });
});

test('what must answer and was silent for too long is said, over UDP and TCP; of others nothing is', () => {
  const pair = { sent: 10, lost: 0, open: 0, gapMs: 0, silentMs: 701, tcpSilentMs: 3001, tcpResets: 0 };
  const stats = { name: 'a', stallMs: 0, overflow: 0, wrong: [], pairs: ['b', 'c'].map((to) => ({ ...pair, to })) };
  assert.deepEqual(silences(stats, new Set(['b'])), ['a: no answer from b for 701 ms', 'a: no TCP from b for 3001 ms']);
  const calm = { ...stats, pairs: [{ ...pair, to: 'b', silentMs: 700, tcpSilentMs: 3000 }] };
  assert.deepEqual(silences(calm, new Set(['b'])), []);
  assert.equal(anyOpen([stats, calm]), false);
  assert.equal(anyOpen([stats, { ...calm, pairs: [{ ...pair, to: 'b', open: 1 }] }]), true);
});

test('a daemon without a process is away, though the kernel holds all', () => {
  const link = JSON.stringify([{ ifname: 'vxlan0', flags: ['UP'], linkinfo: { info_data: { port: 4789 } } }]);
  const printed = (daemons: string) => ['', `=== ${daemons}`, `=== ${link}`, ...Array(4).fill('=== []')].join('\n');
  assert.deepEqual(readLook(printed('1 1').replace(/=== \[\]$/, '=== '))?.away, []);
  assert.deepEqual(readLook(printed('0 1').replace(/=== \[\]$/, '=== '))?.away, ['discovery']);
  assert.equal(readLook('=== 1 1'), undefined);
});
