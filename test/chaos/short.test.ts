/** The short form of the campaign: a lab of three hosts, a few minutes of faults from a seed that is always the same. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { useLab } from '../support/lab.ts';
import { campaign, settle } from './campaign.ts';
import { World } from './world.ts';

const SEED = Number(process.env.CHAOS_SEED ?? 1);
const MINUTES = Number(process.env.CHAOS_MINUTES ?? 3);
const world = new World(1);

useLab(3);
after(() => world.close());

test(`faults from seed ${SEED} for ${MINUTES} minutes: no violation`, async (t) => {
  await world.start();
  await settle(world, 'start', 120);
  const results = await campaign(world, {
    seed: SEED,
    untilMs: performance.now() + MINUTES * 60_000,
    faults: Number.POSITIVE_INFINITY,
    only: [],
    onResult: ({ fault, healedS, gapMs, lost }) =>
      t.diagnostic(`${fault}: right after ${healedS.toFixed(1)} s, gap ${gapMs} ms, ${lost} lost`),
  });
  assert.deepEqual(
    results.filter(({ violation }) => violation !== undefined),
    [],
  );
  assert.ok(results.length >= 3);
});
