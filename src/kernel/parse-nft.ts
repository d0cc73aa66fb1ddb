/** `nft -j list table` output -> rule marks and set elements. Pure. */
import * as v from 'valibot';
import type { NftState } from './observed.ts';

const Output = v.object({ nftables: v.array(v.record(v.string(), v.unknown())) });
const ChainRow = v.object({ name: v.string() });
const RuleRow = v.object({ chain: v.string(), comment: v.optional(v.string(), '') });
const SetRow = v.object({ name: v.string(), elem: v.optional(v.array(v.unknown()), []) });

export const EMPTY_NFT: NftState = { chains: new Map(), elements: new Map() };

function text(value: unknown): string {
  // Anything that we never write (a prefix, say) becomes text that equals nothing desired, and is therefore removed.
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The canonical form of `overlay.ts`: `KEY`, `A . B` or `KEY : VALUE`. A counter is wrapped around the key. */
function element(item: unknown): string {
  if (typeof item === 'object' && item !== null && 'elem' in item) {
    const { elem } = item;
    if (typeof elem === 'object' && elem !== null && 'val' in elem && 'counter' in elem) return element(elem.val);
  }
  if (Array.isArray(item)) return `${text(item[0])} : ${text(item[1])}`;
  if (typeof item === 'object' && item !== null && 'concat' in item && Array.isArray(item.concat))
    return item.concat.map(text).join(' . ');
  return text(item);
}

/** @throws Error when it is not nft's JSON. */
export function parseNft(json: string): NftState {
  const chains = new Map<string, string[]>();
  const elements = new Map<string, Set<string>>();
  for (const row of v.parse(Output, JSON.parse(json)).nftables) {
    const chain = v.safeParse(ChainRow, row.chain);
    const rule = v.safeParse(RuleRow, row.rule);
    const set = v.safeParse(SetRow, row.set ?? row.map);
    if (chain.success) chains.set(chain.output.name, chains.get(chain.output.name) ?? []);
    else if (rule.success)
      chains.set(rule.output.chain, [...(chains.get(rule.output.chain) ?? []), rule.output.comment]);
    else if (set.success) elements.set(set.output.name, new Set(set.output.elem.map(element)));
  }
  return { chains, elements };
}
