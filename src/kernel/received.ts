/** What came in from each subnet, by the counters of the sets that check the sources. */
import * as v from 'valibot';
import { run } from '../process/run.ts';
import { NFT_TABLE } from './owned.ts';

export interface Received {
  readonly packets: number;
  readonly bytes: number;
}

const Output = v.object({ nftables: v.array(v.record(v.string(), v.unknown())) });
const SetRow = v.object({ name: v.pipe(v.string(), v.startsWith('sources_')), elem: v.array(v.unknown()) });
const Element = v.object({
  elem: v.object({
    /** With VXLAN the sender's MAC stands before it; WireGuard itself knows who sent. */
    val: v.union([v.string(), v.object({ concat: v.tuple([v.string(), v.string()]) })]),
    counter: v.object({ packets: v.number(), bytes: v.number() }),
  }),
});

/** `nft -j list table` -> counts by subnet. Elements without a counter are passed over. Pure. */
export function parseReceived(json: string): Map<string, Received> {
  const counts = new Map<string, Received>();
  for (const row of v.parse(Output, JSON.parse(json)).nftables) {
    const set = v.safeParse(SetRow, row.set);
    if (!set.success) continue;
    for (const item of set.output.elem) {
      const found = v.safeParse(Element, item);
      if (!found.success) continue;
      const { val, counter } = found.output.elem;
      const base = typeof val === 'string' ? val : val.concat[1];
      counts.set(`${base}/${set.output.name.slice('sources_'.length)}`, counter);
    }
  }
  return counts;
}

/** What came from all of a peer's subnets; undefined when none of them is counted. */
export function receivedFrom(counts: ReadonlyMap<string, Received>, subnets: readonly string[]): Received | undefined {
  const found = subnets.flatMap((subnet) => counts.get(subnet) ?? []);
  if (found.length === 0) return undefined;
  return found.reduce((a, b) => ({ packets: a.packets + b.packets, bytes: a.bytes + b.bytes }));
}

/** Empty while there is no table. @throws Error when the program cannot be started or prints no JSON. */
export async function received(): Promise<Map<string, Received>> {
  const { code, stdout } = await run(['nft', '-j', 'list', 'table', 'netdev', NFT_TABLE]);
  return code === 0 ? parseReceived(stdout) : new Map();
}
