/** Entry of `scripts/chaos.sh`, in a lab of three hosts that is up with the images loaded. */
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SOURCE_NAMES } from '../../src/config/discovery-config.ts';
import { begin, campaign, type Result, summaries } from './campaign.ts';
import { names, schedule } from './schedule.ts';
import { startServers } from './servers.ts';
import { CHURN, soak } from './soak.ts';
import { World } from './world.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    minutes: { type: 'string' },
    faults: { type: 'string' },
    at: { type: 'string' },
    source: { type: 'string', default: 'multicast' },
    'probe-ms': { type: 'string', default: '1' },
    fault: { type: 'string', multiple: true, default: [] },
    out: { type: 'string' },
    soak: { type: 'boolean', default: false },
    svg: { type: 'string' },
    plan: { type: 'boolean', default: false },
  },
});
function wrongUse(text: string): never {
  process.stderr.write(`chaos: ${text}\n`);
  process.exit(64);
}

const unknown = values.fault.find((name) => !names().includes(name));
if (unknown !== undefined) wrongUse(`no such fault: ${unknown}; there are: ${names().join(' ')}`);
const source = SOURCE_NAMES.find((name) => name === values.source);
if (!source) wrongUse(`--source is multicast, etcd, dns or gossip, not ${values.source}`);
const [minutes, faults, at] = [values.minutes ?? (values.faults || values.at ? '600' : '5'), values.faults, values.at];
if (![minutes, faults ?? '1', at ?? '1', values.seed].every((text) => Number(text) >= 0))
  wrongUse('--seed, --minutes, --faults and --at are numbers');
const seed = Number(values.seed);
const say = (text: string) => process.stdout.write(`${text}\n`);
if (values.plan) {
  const plan = schedule(seed, { source, hasPrevious: true }, values.fault);
  const many = Number(faults ?? values.fault.length) || names().length;
  const lines = values.soak
    ? CHURN
    : Array.from({ length: many }, () => plan.next().value!).map(({ name, detail }) => detail ?? name);
  const again = values.soak ? 'in changing order, again and again' : 'and so on';
  say(
    `seed ${seed}, ${faults ? `${faults} faults` : `${minutes} minutes`}:\n${lines.map((name) => `  ${name}\n`).join('')}  ... ${again}`,
  );
  process.exit(0);
}
const world = new World(Number(values['probe-ms']), source);
const began = performance.now();

function show({ number, fault, detail, tookS, healedS, gapMs, lost, sent, full, unjudged, violation }: Result): void {
  const per = ((performance.now() - began) / 60_000).toFixed(1);
  say(
    `${violation ? '✗' : '✓'} ${String(number).padStart(3)} ${fault.padEnd(27)} right after ${healedS.toFixed(1)} s, longest gap ${gapMs} ms, ${lost} of ${sent} probes lost${full > 0 ? ` (${full} packets by full queues of this machine)` : ''}; ${tookS.toFixed(1)} s, minute ${per}${detail ? `: ${detail}` : ''}`,
  );
  if (unjudged) say(`      lost probes not judged: ${unjudged}`);
  if (violation) {
    const repeat = `./scripts/chaos.sh --seed ${seed}${values.source === 'multicast' ? '' : ` --source ${values.source}`}`;
    say(`      ${violation}`);
    say(
      `      again: ${repeat} --at ${number}${values.fault.map((name) => ` --fault ${name}`).join('')} (alone), or --faults ${number} (with all before it)`,
    );
  }
  if (values.out)
    appendFileSync(
      values.out,
      `${JSON.stringify({ seed, source: values.source, number, fault, detail, tookS, healedS, gapMs, lost, sent, full, unjudged, violation })}\n`,
    );
}

say(
  `seed ${seed}, peers by ${values.source}: three hosts, six stacks; a probe every ${values['probe-ms']} ms and a TCP connection between all 30 pairs`,
);
let failed = true;
try {
  await startServers(world);
  say(`connected after ${(await begin(world)).toFixed(1)} s`);
  if (values.soak) {
    failed = !(await soak(world, { seed, minutes: Number(minutes), svg: values.svg, out: values.out, say }));
    await world.hush();
    world.close();
    process.exit(failed ? 1 : 0);
  }
  const campaignBegan = performance.now();
  if (!world.hasPrevious) say('there are no images of an earlier commit here: no upgrade is tried');
  const results = await campaign(world, {
    seed,
    untilMs: performance.now() + Number(minutes) * 60_000,
    faults: Number(faults ?? Number.POSITIVE_INFINITY),
    at: at === undefined ? undefined : Number(at),
    only: values.fault,
    onResult: show,
  });
  const violations = results.filter(({ violation }) => violation !== undefined).length;
  say('');
  for (const { fault, times, tookS, medianS, mostS, mostGapMs, mostLost, violations: bad } of summaries(results))
    say(
      `${fault.padEnd(27)} ${String(times).padStart(3)} times of ${tookS.toFixed(1)} s, right after ${medianS.toFixed(1)} s (at most ${mostS.toFixed(1)}), gap ${mostGapMs} ms, lost ${mostLost}${bad > 0 ? `, ${bad} violations` : ''}`,
    );
  const unjudged = results.filter((result) => result.unjudged !== undefined).length;
  const tookMin = (performance.now() - campaignBegan) / 60_000;
  say(
    `\nseed ${seed}, peers by ${values.source}: ${results.length} faults in ${tookMin.toFixed(1)} minutes (${(results.length / tookMin).toFixed(1)} a minute), ${violations} violations${unjudged > 0 ? `; in ${unjudged} of them lost probes say nothing of the product` : ''}`,
  );
  failed = violations > 0 || results.length === 0;
} catch (cause) {
  say(`chaos: ${(cause as Error).message}`);
}
await world.hush();
world.close();
process.exit(failed ? 1 : 0);
