/** The short form of the campaign: a lab of three hosts, five minutes of faults from a seed that is always the same. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/process/run.ts';
import { useLab } from '../support/lab.ts';
import { begin, campaign } from './campaign.ts';
import { World } from './world.ts';

const SEED = Number(process.env.CHAOS_SEED ?? 1);
const MINUTES = Number(process.env.CHAOS_MINUTES ?? 5);
/** Fewer than this in the time would be a campaign that hangs, and shows nothing. */
const FEWEST = 2 * MINUTES;
const PREVIOUS = fileURLToPath(new URL('previous.sh', import.meta.url));
const world = new World(1);

useLab(3, async () => {
  const { code, stderr } = await run([PREVIOUS], '', 300_000);
  // A copy without history has no earlier images: the rest is tried.
  if (code !== 0) process.stderr.write(`no upgrade is tried: ${stderr}`);
});
after(() => world.close());

test(`faults from seed ${SEED} for ${MINUTES} minutes: no violation`, async (t) => {
  await begin(world);
  const results = await campaign(world, {
    seed: SEED,
    untilMs: performance.now() + MINUTES * 60_000,
    faults: Number.POSITIVE_INFINITY,
    only: [],
    onResult: ({ number, fault, detail, healedS, gapMs, lost, full, unjudged, violation }) =>
      t.diagnostic(
        `${number} ${detail ?? fault}: right after ${healedS.toFixed(1)} s, gap ${gapMs} ms, ${lost} lost, ${full} by this machine${unjudged ? `, not judged: ${unjudged}` : ''}${violation ? `; ${violation}; again: scripts/chaos.sh --seed ${SEED} --at ${number}` : ''}`,
      ),
  });
  assert.deepEqual(
    results.filter(({ violation }) => violation !== undefined),
    [],
  );
  assert.ok(results.length >= FEWEST, `${results.length} faults`);
});
