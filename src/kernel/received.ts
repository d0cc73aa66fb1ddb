/** What came in from each peer, by the counters of the sets that check its sources. */
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
    val: v.object({ concat: v.tuple([v.string(), v.string()]) }),
    counter: v.object({ packets: v.number(), bytes: v.number() }),
  }),
});

/** `nft -j list table` -> sums by VTEP MAC, over all subnets of the peer. Elements without a counter are passed over. Pure. */
export function parseReceived(json: string): Map<string, Received> {
  const sums = new Map<string, Received>();
  for (const row of v.parse(Output, JSON.parse(json)).nftables) {
    const set = v.safeParse(SetRow, row.set);
    for (const item of set.success ? set.output.elem : []) {
      const found = v.safeParse(Element, item);
      if (!found.success) continue;
      const { val, counter } = found.output.elem;
      const sum = sums.get(val.concat[0]) ?? { packets: 0, bytes: 0 };
      sums.set(val.concat[0], { packets: sum.packets + counter.packets, bytes: sum.bytes + counter.bytes });
    }
  }
  return sums;
}

/** Empty while there is no table. @throws Error when the program cannot be started or prints no JSON. */
export async function received(): Promise<Map<string, Received>> {
  const { code, stdout } = await run(['nft', '-j', 'list', 'table', 'netdev', NFT_TABLE]);
  return code === 0 ? parseReceived(stdout) : new Map();
}
