/** What the multicast protocol puts on the network, computed from its timing and measured on an interface. */

import { encodeMessage } from '../../src/sources/multicast/message.ts';
import { announceInterval } from '../../src/sources/multicast/timing.ts';
import type { Options } from '../options.ts';
import type { Findings, Row } from '../rows.ts';
import { makeHost } from './namespaces.ts';
import { peer } from './peers.ts';
import { textOf } from './processes.ts';
import { Sender } from './sender.ts';

/** UDP 8, IPv4 20, Ethernet 14: what the interface counts. */
const HEADERS = 42;
const DEFAULT_INTERVAL_MS = 30_000;

/** Bits a second that `stacks` put on the network while nothing changes. */
export function steadyBits(stacks: number): number {
  const intervalMs = announceInterval(DEFAULT_INTERVAL_MS, stacks);
  const bytes = encodeMessage({
    docker_router: 1,
    type: 'announce',
    interval_ms: intervalMs,
    record: peer(stacks),
  }).length;
  return ((bytes + HEADERS) * 8 * stacks * 1000) / intervalMs;
}

/** Bytes that eth0 has received: the first number of its line (proc(5)). /sys would show the machine's own interfaces here. */
const received = () => Number(/eth0:\s*(\d+)/.exec(textOf('/proc/net/dev'))?.[1]);

async function measured(stacks: number, seconds: number): Promise<number> {
  const sender = await Sender.start();
  await sender.send({ kind: 'steady', count: stacks, configuredMs: DEFAULT_INTERVAL_MS });
  const before = received();
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const bits = ((received() - before) * 8 * 1000) / (performance.now() - began);
  sender.stop();
  return bits;
}

export async function traffic({ quick }: Pick<Options, 'quick'>): Promise<Findings> {
  await makeHost();
  const rows: Row[] = [];
  for (const stacks of [1000, 10_000]) {
    const bits = await measured(stacks, quick ? 6 : 40);
    rows.push({
      id: `traffic.${stacks}`,
      what: `${stacks.toLocaleString('en')} stacks on one network: all their announcements together`,
      value: bits / 1000,
      unit: 'kbit/s',
      note: `computed ${(steadyBits(stacks) / 1000).toFixed(0)} kbit/s; one stack each ${announceInterval(DEFAULT_INTERVAL_MS, stacks) / 1000} s`,
    });
  }
  const counts = [10, 100, 300, 1000, 1500, 3000, 10_000];
  const lines = [
    { name: 'as it is', points: counts.map((count) => [count, steadyBits(count) / 1000] as const) },
    {
      name: 'without the bound',
      points: counts.map((count) => [count, (steadyBits(1) * count) / 1000] as const),
    },
  ];
  const title = 'Announcements of all stacks of a network';
  return { rows, series: [{ id: 'traffic', title, x: 'stacks', y: 'kbit/s', logarithmic: true, lines }] };
}
