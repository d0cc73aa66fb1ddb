/** What a soak calls growth. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Series, verdicts } from '../chaos/soak.ts';
import type { Sample } from '../chaos/world.ts';

/** Half an hour of a daemon, a sample every 10 seconds. */
function watched(sample: (seconds: number) => Partial<Sample>): Series[] {
  const flat = { daemon: 'one-router', rssKb: 50_000, files: 20, timers: 2, objects: 40 };
  return Array.from({ length: 180 }, (_, i) => ({ seconds: i * 10, samples: [{ ...flat, ...sample(i * 10) }] }));
}

const bad = (series: Series[]) => verdicts(series).flatMap(({ field, bad }) => (bad ? [field] : []));

test('what goes up and down is flat', () => {
  const wave = (seconds: number) => ({ rssKb: 50_000 + 9_000 * Math.sin(seconds), timers: 2 + (seconds % 30) / 10 });
  assert.deepEqual(bad(watched(wave)), []);
});

test('a slow leak is growth, of whatever', () => {
  assert.deepEqual(bad(watched((seconds) => ({ rssKb: 50_000 + 10 * seconds }))), ['rssKb']);
  assert.deepEqual(bad(watched((seconds) => ({ files: 20 + seconds / 100 }))), ['files']);
  assert.deepEqual(bad(watched((seconds) => ({ timers: 2 + seconds / 100 }))), ['timers']);
  assert.deepEqual(bad(watched((seconds) => ({ objects: seconds > 900 ? 41 : 40 }))), ['objects']);
});

test('what was not seen was not flat', () => {
  const [first] = watched(() => ({}));
  assert.deepEqual(bad([first!, { seconds: 1800, samples: [] }]), ['rssKb', 'files', 'timers', 'objects']);
});
