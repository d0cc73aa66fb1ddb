/** Encrypted paths between the same two hosts: what ours will be measured against. */
import { atLeast, type Findings, type Row } from '../rows.ts';
import { interleaved, median, ratioOf } from '../stats.ts';
import { tcp } from './probes.ts';
import { nebula, wireguard } from './tunnels.ts';
import { type Endpoint, raw, reachable, serve, stackUp } from './world.ts';

const TUNNELS = { 'wireguard-go': wireguard, Nebula: nebula };
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

/** Two stacks with ENCRYPTION=required against wireguard-go between their hosts, with nothing around it. */
async function oursRow(seconds: number): Promise<Row> {
  const row = { id: 'data.encrypted.ours', what: 'one TCP flow, encrypted / bare wireguard-go', unit: 'x', goal: atLeast(0.95) };
  try {
    const from = await stackUp({ name: 'stack-e', host: 1, subnet: '172.25.0', encrypted: true });
    const to = await stackUp({ name: 'stack-g', host: 2, subnet: '172.24.0', encrypted: true });
    await serve(to);
    await reachable(from, to);
    const [near, far] = [raw(1), { ...raw(2), address: BARE }];
    const samples = await interleaved(5, {
      ours: async () => (await tcp(from, to, seconds)).gigabits,
      'wireguard-go': async () => (await tcp(near, far, seconds)).gigabits,
    });
    const note = `${median(samples.ours!).toFixed(2)} / ${median(samples['wireguard-go']!).toFixed(2)} Gbit/s`;
    return { ...row, value: ratioOf(samples.ours!, samples['wireguard-go']!), note, samples };
  } catch (cause) {
    return { ...row, note: (cause as Error).message.slice(0, 120) };
  }
}

/** Host 2 inside the bare tunnel, which the first row has made. */
const BARE = '10.88.1.2';

export async function encryptedRows(hosts: readonly [Endpoint, Endpoint], seconds: number): Promise<Findings> {
  const rows: Row[] = [];
  for (const name of ['wireguard-go', 'Nebula'] as const) rows.push(await tunnelRow(name, hosts));
  return { rows: [...rows, await oursRow(seconds)], series: [] };
}
