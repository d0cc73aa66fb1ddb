/**
 * Who was the first to hold a subnet or a MAC here. Where identities are known, a dispute is settled by this and not by the age that the claims
 * state of themselves (`since`), which a member can make up (docs/decisions/0029). Stands while this process runs.
 */
import { type Prefix, parsePrefix } from '../net/ipv4.ts';
import { PrefixIndex } from '../net/prefix-index.ts';
import type { Claim } from './judge.ts';

/** Beyond these, what stacks held that are no longer there is forgotten: some 10 MB. */
const MAX_HOLDINGS = 65_536;

type Holder = Pick<Claim, 'stack_id' | 'subnets' | 'vtep_mac'>;

/** Whose each disputed thing is, among those that claim it now. */
export interface Held {
  readonly subnets: PrefixIndex<Claim>;
  readonly macs: ReadonlyMap<string, Claim>;
}

const thingsOf = ({ subnets, vtep_mac }: Holder) => (vtep_mac ? [...subnets, vtep_mac] : subnets);

export class Possession {
  /** `STACK THING` -> how many came before it. */
  #ranks = new Map<string, number>();
  #next = 0;

  /** These hold what they claim: nothing is said against them. */
  note(accepted: readonly Holder[]): void {
    for (const holder of accepted) {
      for (const thing of thingsOf(holder)) {
        const key = `${holder.stack_id} ${thing}`;
        if (this.#ranks.has(key)) continue;
        this.#ranks.set(key, this.#next);
        this.#next += 1;
      }
    }
    if (this.#ranks.size > MAX_HOLDINGS) this.#forgetAbsent(accepted);
  }

  /** Of several that have held the same, the first. `claims` are those that could be accepted. */
  among(claims: readonly Claim[]): Held {
    const ranked = claims
      .flatMap((claim) => thingsOf(claim).map((thing) => ({ claim, thing, rank: this.#rank(claim, thing) })))
      .filter(({ rank }) => rank !== undefined)
      .sort((a, b) => a.rank! - b.rank!);
    const subnets = new PrefixIndex<Claim>();
    const macs = new Map<string, Claim>();
    for (const { claim, thing } of ranked) {
      const prefix: Prefix | undefined = parsePrefix(thing);
      if (!prefix) macs.set(thing, macs.get(thing) ?? claim);
      else if (!subnets.overlapping(prefix)) subnets.add(prefix, claim);
    }
    return { subnets, macs };
  }

  #rank({ stack_id }: Claim, thing: string): number | undefined {
    return this.#ranks.get(`${stack_id} ${thing}`);
  }

  #forgetAbsent(present: readonly Holder[]): void {
    const kept = present.flatMap((holder) => thingsOf(holder).map((thing) => `${holder.stack_id} ${thing}`));
    this.#ranks = new Map(kept.map((key) => [key, this.#ranks.get(key)!]));
  }
}
