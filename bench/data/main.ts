/** The data plane, in a lab of two hosts: our stacks, Docker Swarm's overlay on the same engines, and the hosts themselves. */
import type { Options } from '../options.ts';
import { wanted } from '../options.ts';
import { atLeast, atMost, type Findings, type Goal, type Row } from '../rows.ts';
import { interleaved, median, ratioOf } from '../stats.ts';
import { encryptedRows } from './encrypted.ts';
import { firstAnswer } from './first-answer.ts';
import { imageRows } from './images.ts';
import { labDown, labUp } from './lab.ts';
import { replies, tcp, udp } from './probes.ts';
import { bridgeFilter, type Endpoint, raw, reachable, serve, stackUp, swarmUp } from './world.ts';

type Pair = readonly [Endpoint, Endpoint];

interface Paths {
  /** Our stacks: on two hosts, on one, on two with the published underlay. */
  readonly far: Pair;
  readonly near: Pair;
  readonly published: Pair;
  readonly hosts: Pair;
  /** Undefined, with the reason, when the engines form no swarm. */
  readonly swarmFar: Pair | undefined;
  readonly swarmNear: Pair | undefined;
  readonly why: string;
}

/** What starts is not measured, so it starts side by side. */
async function build(): Promise<Paths> {
  const [a, b, c, p, q] = await Promise.all([
    stackUp({ name: 'stack-a', host: 1, subnet: '172.30.0' }),
    stackUp({ name: 'stack-b', host: 2, subnet: '172.31.0' }),
    stackUp({ name: 'stack-c', host: 1, subnet: '172.29.0' }),
    stackUp({ name: 'stack-p', host: 1, subnet: '172.27.0', published: true }),
    stackUp({ name: 'stack-q', host: 2, subnet: '172.26.0', published: true }),
  ]);
  const { endpoints, why = '' } = await swarmUp();
  const [swarmA, swarmB, swarmC] = endpoints;
  await Promise.all([a, b, c, p, q, raw(1), raw(2), ...endpoints].map(serve));
  const paths: Paths = {
    far: [a, b],
    near: [a, c],
    published: [p, q],
    hosts: [raw(1), raw(2)],
    swarmFar: swarmA && swarmB ? [swarmA, swarmB] : undefined,
    swarmNear: swarmA && swarmC ? [swarmA, swarmC] : undefined,
    why,
  };
  const pairs = [paths.far, paths.near, paths.published, paths.hosts, paths.swarmFar, paths.swarmNear];
  await Promise.all(pairs.map((pair) => pair && reachable(...pair)));
  return paths;
}

type Values = Readonly<Record<string, number>>;

interface Metric extends Pick<Row, 'id' | 'what' | 'goal'> {
  /** Which of the probe's values. */
  readonly key: string;
  readonly unit: string;
}

/** One probe on two paths, and the rows that come of it. */
interface Comparison {
  readonly ours: Pair;
  readonly theirs: Pair | undefined;
  readonly probe: (from: Endpoint, to: Endpoint) => Promise<Values>;
  readonly metrics: readonly Metric[];
}

const only = (samples: readonly Values[], key: string) => samples.map((values) => values[key]!);

function rowOf({ key, unit, ...row }: Metric, samples: Readonly<Record<string, readonly Values[]>>): Row {
  const values = Object.fromEntries(Object.entries(samples).map(([name, list]) => [name, only(list, key)]));
  const note = Object.entries(values).map(([name, list]) => `${name} ${median(list).toPrecision(3)}`);
  return {
    ...row,
    unit: 'x',
    value: ratioOf(values.ours!, values.theirs!),
    note: `${note.join(', ')} ${unit}`,
    samples: values,
  };
}

/** The hosts' own network is measured along with the first: what the machine can do at that moment. */
async function compare(paths: Paths, rounds: number, { ours, theirs, probe, metrics }: Comparison): Promise<Row[]> {
  if (!theirs) return metrics.map(({ key: _, ...row }) => ({ ...row, unit: 'x', note: `no swarm: ${paths.why}` }));
  const variant = (pair: Pair) => () => probe(...pair);
  const withHosts = metrics[0]!.id === 'data.flow.far';
  const samples = await interleaved<Values>(rounds, {
    ours: variant(ours),
    theirs: variant(theirs),
    ...(withHosts && { 'host to host': variant(paths.hosts) }),
  });
  return metrics.map((metric) => rowOf(metric, samples));
}

/** One flow or several: gigabits a second, and processor seconds of the whole machine for each gigabit. */
const flow =
  (streams: number, seconds: number) =>
  async (from: Endpoint, to: Endpoint): Promise<Values> => ({ ...(await tcp(from, to, seconds, streams)) });
const packets = (bytes: number, seconds: number) => async (from: Endpoint, to: Endpoint) => ({
  rate: await udp(from, to, seconds, bytes),
});
const answers =
  (seconds: number) =>
  async (from: Endpoint, to: Endpoint): Promise<Values> => ({
    ...(await replies(from, to, seconds)),
  });

const gigabits = (id: string, what: string, goal?: Goal): Metric => ({
  id,
  what,
  key: 'gigabits',
  unit: 'Gbit/s',
  ...(goal && { goal }),
});
const rate = (id: string, what: string, goal: Goal): Metric => ({ id, what, key: 'rate', unit: 'a second', goal });
const latency = (id: string, what: string, key: string, goal?: Goal): Metric => ({
  id,
  what,
  key,
  unit: 'microseconds',
  ...(goal && { goal }),
});

function farFlow(suffix: string, words: string, goal?: Goal): Metric[] {
  return [gigabits(`data.flow.far${suffix}`, `one TCP flow, stacks on two hosts / Swarm${words}`, goal)];
}

function nearFlow(suffix: string, words: string, goal?: Goal): Metric[] {
  return [gigabits(`data.flow.near${suffix}`, `one TCP flow, stacks on one host / Swarm on one host${words}`, goal)];
}

/** Beside a rate: where the inverse of this is near the ratio of the rates, the processors are the limit. */
const cpu = (id: string, what: string, goal?: Goal): Metric => ({
  id,
  what: `CPU of the machine for each gigabit, ${what}`,
  key: 'cpuSecondsPerGigabit',
  unit: 's',
  ...(goal && { goal }),
});

function comparisons({ far, near, published, swarmFar, swarmNear }: Paths, seconds: number): Comparison[] {
  const onTwo = { ours: far, theirs: swarmFar };
  const onOne = { ours: near, theirs: swarmNear };
  const spent = {
    far: cpu('data.cpu.far', 'two hosts / Swarm', atMost(1.1)),
    near: cpu('data.cpu.near', 'one host / Swarm on one host'),
    manyFar: cpu('data.cpus.far', '8 flows, two hosts / Swarm'),
    manyNear: cpu('data.cpus.near', '8 flows, one host / Swarm on one host'),
  };
  const asked = [
    {
      ...rate('data.replies.far', 'requests answered one after the other, two hosts / Swarm', atLeast(0.95)),
      key: 'perSecond',
    },
    latency('data.latency50.far', 'their latency, p50, two hosts / Swarm', 'p50'),
    latency('data.latency99.far', 'their latency, p99, two hosts / Swarm', 'p99', atMost(1.1)),
  ];
  const small = (where: string, id: string) => rate(id, `UDP packets of 64 bytes, ${where}`, atLeast(1));
  const slowly = gigabits('data.published', 'one TCP flow, published underlay / host underlay');
  return [
    { ...onTwo, probe: flow(1, seconds), metrics: [...farFlow('', '', atLeast(1)), spent.far] },
    { ...onOne, probe: flow(1, seconds), metrics: [...nearFlow('', '', atLeast(0.9)), spent.near] },
    {
      ...onTwo,
      probe: flow(8, seconds),
      metrics: [gigabits('data.flows.far', '8 TCP flows, two hosts / Swarm', atLeast(1)), spent.manyFar],
    },
    {
      ...onOne,
      probe: flow(8, seconds),
      metrics: [gigabits('data.flows.near', '8 TCP flows, one host / Swarm on one host', atLeast(1)), spent.manyNear],
    },
    { ...onTwo, probe: packets(64, seconds), metrics: [small('two hosts / Swarm', 'data.packets64.far')] },
    { ...onOne, probe: packets(64, seconds), metrics: [small('one host / Swarm on one host', 'data.packets64.near')] },
    {
      ...onTwo,
      probe: packets(1400, seconds),
      metrics: [rate('data.packets1400.far', 'UDP packets of 1,400 bytes, two hosts / Swarm', atLeast(1))],
    },
    { ...onTwo, probe: answers(seconds), metrics: asked },
    { ours: published, theirs: far, probe: flow(1, seconds), metrics: [slowly] },
  ];
}

/** On hosts whose bridges hand frames to iptables, as engines before 27.4 have it. */
function filtered({ far, near, swarmFar, swarmNear }: Paths, seconds: number): Comparison[] {
  const words = ', br_netfilter on';
  return [
    { ours: far, theirs: swarmFar, probe: flow(1, seconds), metrics: farFlow('.filtered', words) },
    { ours: near, theirs: swarmNear, probe: flow(1, seconds), metrics: nearFlow('.filtered', words) },
  ];
}

type Measure = (name: string, run: () => Promise<Findings>) => Promise<void>;

/** @param beside what may run while the lab starts */
export async function dataPlane(
  { quick, only: chosen }: Options,
  measure: Measure,
  beside: () => Promise<unknown>,
): Promise<void> {
  const interrupted = () => void labDown().finally(() => process.exit(130));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, interrupted);
  try {
    const meanwhile = beside();
    await labUp();
    const [paths] = await Promise.all([
      build(),
      wanted(chosen, 'data.image') && measure('data.image', imageRows),
      meanwhile,
    ]);
    // Whole seconds: iperf3 takes a fraction for "for ever".
    const seconds = quick ? 1 : 2;
    for (const on of [false, true]) {
      // Reported only: left out for want of time.
      if (on && quick && chosen.length === 0) continue;
      await bridgeFilter(on);
      for (const comparison of (on ? filtered : comparisons)(paths, seconds)) {
        const { id } = comparison.metrics[0]!;
        if (!wanted(chosen, id)) continue;
        await measure(id, async () => ({ rows: await compare(paths, quick ? 5 : 9, comparison), series: [] }));
      }
    }
    await bridgeFilter(false);
    if (wanted(chosen, 'data.start')) await measure('data.start', () => firstAnswer(paths.far[0], quick ? 3 : 10));
    if (wanted(chosen, 'data.encrypted')) await measure('data.encrypted', () => encryptedRows(paths.hosts, seconds));
  } finally {
    await labDown();
  }
}
