/** Entry of `scripts/chaos.sh`, in a lab of three hosts that is up with the images loaded. */
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { campaign, type Result, schedule, settle, summaries } from './campaign.ts';
import { FAULTS } from './faults.ts';
import { CHURN, soak } from './soak.ts';
import { World } from './world.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    minutes: { type: 'string', default: '5' },
    'probe-ms': { type: 'string', default: '1' },
    fault: { type: 'string', multiple: true, default: [] },
    out: { type: 'string' },
    soak: { type: 'boolean', default: false },
    svg: { type: 'string' },
    plan: { type: 'boolean', default: false },
  },
});
const unknown = values.fault.find((name) => !FAULTS.some((fault) => fault.name === name));
if (unknown !== undefined) {
  process.stderr.write(`chaos: no such fault: ${unknown}; there are: ${FAULTS.map(({ name }) => name).join(' ')}\n`);
  process.exit(64);
}
const seed = Number(values.seed);
const say = (text: string) => process.stdout.write(`${text}\n`);
if (values.plan) {
  const faults = schedule(seed, values.fault);
  const names = values.soak
    ? CHURN
    : (values.fault.length ? values.fault : FAULTS).map(() => faults.next().value!.name);
  const again = values.soak ? 'in changing order, again and again' : 'and so on';
  say(`seed ${seed}, ${values.minutes} minutes:\n${names.map((name) => `  ${name}\n`).join('')}  ... ${again}`);
  process.exit(0);
}
const world = new World(Number(values['probe-ms']));

function show({ fault, healedS, gapMs, lost, sent, violation }: Result, number: number): void {
  say(
    `${violation ? '✗' : '✓'} ${String(number).padStart(3)} ${fault.padEnd(26)} right after ${healedS.toFixed(1)} s, longest gap ${gapMs} ms, ${lost} of ${sent} probes lost`,
  );
  if (violation) say(`      ${violation}`);
  if (values.out)
    appendFileSync(values.out, `${JSON.stringify({ seed, number, fault, healedS, gapMs, lost, sent, violation })}\n`);
}

say(
  `seed ${seed}: three hosts, six stacks; a probe every ${values['probe-ms']} ms and a TCP connection between all 30 pairs`,
);
let failed = true;
try {
  await world.start();
  say(`connected after ${(await settle(world, 'start', 90)).toFixed(1)} s`);
  if (values.soak) {
    failed = !(await soak(world, { seed, minutes: Number(values.minutes), svg: values.svg, say }));
    world.close();
    process.exit(failed ? 1 : 0);
  }
  const results = await campaign(world, {
    seed,
    untilMs: performance.now() + Number(values.minutes) * 60_000,
    only: values.fault,
    onResult: show,
  });
  const violations = results.filter(({ violation }) => violation !== undefined).length;
  say('');
  for (const { fault, times, medianS, mostS, mostGapMs, mostLost, violations: bad } of summaries(results))
    say(
      `${fault.padEnd(26)} ${String(times).padStart(3)} times, right after ${medianS.toFixed(1)} s (at most ${mostS.toFixed(1)}), gap ${mostGapMs} ms, lost ${mostLost}${bad > 0 ? `, ${bad} violations` : ''}`,
    );
  say(`\nseed ${seed}: ${results.length} faults, ${violations} violations`);
  failed = violations > 0 || results.length === 0;
} catch (cause) {
  say(`chaos: ${(cause as Error).message}`);
}
world.close();
process.exit(failed ? 1 : 0);
