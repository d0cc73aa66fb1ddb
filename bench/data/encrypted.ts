/** Encrypted paths between the same two hosts: what ours will be measured against. */
import type { Findings, Row } from '../rows.ts';
import { interleaved, median, ratioOf } from '../stats.ts';
import { tcp } from './probes.ts';
import { nebula, wireguard } from './tunnels.ts';
import { type Endpoint, reachable } from './world.ts';

const TUNNELS = { 'wireguard-go': wireguard, Nebula: nebula };
const NOT_YET: Row = {
  id: 'data.encrypted.ours',
  what: 'one TCP flow, encrypted / bare wireguard-go',
  unit: 'x',
  note: 'not yet: there is no encryption of ours',
};

async function tunnelRow(name: keyof typeof TUNNELS, [from, to]: readonly [Endpoint, Endpoint]): Promise<Row> {
  const row = { id: `data.encrypted.${name}`, what: `one TCP flow, ${name} / host to host`, unit: 'x' };
  try {
    const far = { ...to, address: (await TUNNELS[name]())[1] };
    await reachable(from, far);
    const samples = await interleaved(5, {
      tunnel: async () => (await tcp(from, far, 1)).gigabits,
      hosts: async () => (await tcp(from, to, 1)).gigabits,
    });
    const note = `${median(samples.tunnel!).toFixed(2)} / ${median(samples.hosts!).toFixed(2)} Gbit/s`;
    return { ...row, value: ratioOf(samples.tunnel!, samples.hosts!), note, samples };
  } catch (cause) {
    return { ...row, note: (cause as Error).message.slice(0, 120) };
  }
}

export async function encryptedRows(hosts: readonly [Endpoint, Endpoint]): Promise<Findings> {
  const rows: Row[] = [];
  for (const name of ['wireguard-go', 'Nebula'] as const) rows.push(await tunnelRow(name, hosts));
  return { rows: [...rows, NOT_YET], series: [] };
}
