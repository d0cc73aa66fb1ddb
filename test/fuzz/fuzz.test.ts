/** A few seconds of fuzzing of every parser, and the whole corpus. The campaign is `./scripts/fuzz.sh --cases 1000000`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz, TARGETS } from './campaign.ts';

/** Another one every run, and in CI every commit: what it found is named by the seed, and kept. */
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);

for (const target of TARGETS) {
  test(`${target.name} (seed ${seed})`, (t) => {
    const outcome = fuzz(target, { cases: 1_000_000, withinMs: 2000, seed });
    assert.equal(outcome.violation, undefined);
    assert.ok(outcome.cases > 100);
    t.diagnostic(`${outcome.cases} cases, ${outcome.accepted} accepted`);
  });
}
