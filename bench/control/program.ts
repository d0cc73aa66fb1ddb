/** Peers from nothing into the kernel, against the same lines given to ip, bridge and nft. */
import { readRouterConfig } from '../../src/config/router-config.ts';
import { desiredOverlay } from '../../src/desired/overlay.ts';
import { overlayPlan } from '../../src/plan/plan.ts';
import { run, runOk } from '../../src/process/run.ts';
import { reconcile } from '../../src/router/reconcile.ts';
import type { Options } from '../options.ts';
import { atMost, type Findings, type Row } from '../rows.ts';
import { interleaved, median, ratioOf } from '../stats.ts';
import { discoveryInput, peers } from './peers.ts';

const CONFIG = readRouterConfig({ UNDERLAY: 'published' });
const AROUND = { underlay: 'published', fast: true, masquerade: false } as const;

const CONTAINER = `link set lo up
link add eth0 type veth peer name bridge0
link set eth0 up
link set bridge0 up
address add 172.30.0.3/24 dev eth0
route add default via 172.30.0.2 dev eth0
`;

const pass = (count: number) =>
  reconcile(CONFIG, AROUND, { port: undefined, gateway: undefined }, discoveryInput(peers(count)));

async function timed(action: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await action();
  return performance.now() - began;
}

/** An empty device and rules for one prefix length. */
async function empty(): Promise<void> {
  await run(['ip', 'link', 'delete', 'vxlan0']);
  await pass(1);
}

async function programmed(count: number, rounds: number): Promise<Row> {
  const input = discoveryInput(peers(count));
  const plan = overlayPlan(desiredOverlay(peers(count)), desiredOverlay(peers(1)));
  const samples = await interleaved(rounds, {
    'docker-router': async () => {
      await empty();
      return timed(async () => {
        const { problems } = await reconcile(CONFIG, AROUND, { port: undefined, gateway: undefined }, input);
        if (problems.length > 0) throw new Error(problems[0]!.message);
      });
    },
    'ip, bridge, nft': async () => {
      await empty();
      return timed(async () => {
        await runOk(['bridge', '-batch', '-'], plan.bridgeAdd.join('\n'));
        await runOk(['ip', '-batch', '-'], plan.ipAdd.join('\n'));
        await runOk(['nft', '-f', '-'], plan.nft.join('\n'));
      });
    },
  });
  const [ours, base] = [samples['docker-router']!, samples['ip, bridge, nft']!];
  return {
    id: `program.${count}`,
    what: `${count.toLocaleString('en')} peers into an empty kernel / the same lines by ip, bridge and nft`,
    goal: atMost(1.5),
    value: ratioOf(ours, base),
    unit: 'x',
    note: `${Math.round(median(ours))} ms / ${Math.round(median(base))} ms; one look at the kernel before is part of it; the one that verifies comes after`,
    samples,
  };
}

const NAMES = ['docker-router', 'ip, bridge, nft'] as const;

/** This namespace stands in for a router's container. */
export async function program({ quick }: Pick<Options, 'quick'>): Promise<Findings> {
  const counts = quick ? [100, 1000, 10_000] : [100, 300, 1000, 3000, 10_000];
  await runOk(['ip', '-batch', '-'], CONTAINER);
  const rows: Row[] = [];
  for (const count of counts) rows.push(await programmed(count, count > 3000 && quick ? 3 : 5));
  const lines = NAMES.map((name) => ({
    name,
    points: rows.map(({ samples }, index) => [counts[index]!, median(samples![name]!)] as const),
  }));
  const title = 'Peers into an empty kernel';
  return { rows, series: [{ id: 'program', title, x: 'peers', y: 'milliseconds', logarithmic: true, lines }] };
}
