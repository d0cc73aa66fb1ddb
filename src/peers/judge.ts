/**
 * Which stacks may be routed, and why the others may not. Pure, and the same on every host: where two claims collide the senior
 * one (the instance that first started earlier) keeps working, so all hosts agree without asking each other.
 */
import {
  contains,
  covers,
  formatPrefix,
  isHostAddress,
  overlaps,
  type Prefix,
  parseIpv4,
  parsePrefix,
} from '../net/ipv4.ts';
import { PrefixIndex } from '../net/prefix-index.ts';
import type { StackRecord } from '../record/record.ts';
import type { Held } from './possession.ts';

/** The part of a record that is judged; a row of discovery.json has it too. */
export type Claim = Pick<
  StackRecord,
  | 'stack_id'
  | 'instance'
  | 'since'
  | 'vni'
  | 'host_ip'
  | 'subnets'
  | 'gateway_ip'
  | 'vtep_mac'
  | 'vxlan_port'
  | 'wg_public_key'
  | 'wg_port'
  | 'wg_slot'
  | 'wg_other_public_key'
  | 'wg_other_port'
>;

export interface Policy {
  readonly allowedSubnets: readonly Prefix[];
  /** Networks of this host's own interfaces; empty where they are not known. */
  readonly hostNetworks: readonly { readonly name: string; readonly prefix: Prefix; readonly isStack?: boolean }[];
  /** Whether this claim to this subnet stood before, so that a network which the host gets later does not end it. */
  readonly established?: (claim: Claim, subnet: string) => boolean;
  /** Whose each disputed thing is, whatever age the claims state; absent where nobody's word is signed. */
  readonly held?: (claims: readonly Claim[]) => Held;
}

/** undefined: accepted. Otherwise the reason, in words a person can act on. */
export type Verdict = string | undefined;

/** Negative when `a` is senior to `b`. */
export function bySeniority(a: Pick<Claim, 'since' | 'instance'>, b: Pick<Claim, 'since' | 'instance'>): number {
  return a.since - b.since || (a.instance < b.instance ? -1 : a.instance > b.instance ? 1 : 0);
}

interface Taken {
  readonly ids: Map<string, Claim>;
  readonly macs: Map<string, Claim>;
  readonly subnets: PrefixIndex<Claim>;
}

const prefixesOf = (claim: Claim): Prefix[] => claim.subnets.flatMap((text) => parsePrefix(text) ?? []);

function take(taken: Taken, claim: Claim, prefixes: readonly Prefix[]): void {
  taken.ids.set(claim.stack_id, claim);
  if (claim.vtep_mac) taken.macs.set(claim.vtep_mac, claim);
  for (const prefix of prefixes) taken.subnets.add(prefix, claim);
}

/** Reasons that lie in the claim alone. */
function flaw(claim: Claim, prefixes: readonly Prefix[], policy: Policy): Verdict {
  const host = parseIpv4(claim.host_ip);
  if (host === undefined || !isHostAddress(host))
    return `host address ${claim.host_ip} is not one that a host can have`;
  // A subnet that cannot be read makes the two differ in length.
  if (prefixes.length !== claim.subnets.length) return `subnets ${claim.subnets.join(', ')} cannot be read`;
  for (const [index, prefix] of prefixes.entries()) {
    const text = claim.subnets[index];
    if (prefix.length < 8) return `subnet ${text} is not one that a stack can have`;
    if (!policy.allowedSubnets.some((allowed) => covers(allowed, prefix))) {
      return `subnet ${text} is not allowed here; ALLOWED_SUBNETS is ${policy.allowedSubnets.map(formatPrefix).join(',')}`;
    }
    if (contains(prefix, host)) return `subnet ${text} contains the host address ${claim.host_ip}`;
  }
  if (prefixes.some((a, i) => prefixes.slice(i + 1).some((b) => overlaps(a, b))))
    return 'its subnets overlap each other';
  const gateway = claim.gateway_ip === undefined ? undefined : parseIpv4(claim.gateway_ip);
  if (prefixes.length > 0 && (gateway === undefined || !prefixes.some((prefix) => contains(prefix, gateway)))) {
    return `gateway ${claim.gateway_ip ?? '(none)'} lies in none of its subnets`;
  }
  if (prefixes.length > 0 && (!claim.vtep_mac || !claim.vxlan_port))
    return 'announces subnets without a VTEP MAC and a VXLAN port';
  return undefined;
}

/**
 * Reasons that lie in this host: its own networks must stay reachable. The network of a stack on this very host is one of them, and has
 * exactly the subnet that is announced; anybody can claim to be on this host, so only a bridge that stacks can be on counts.
 */
function hostConflict(claim: Claim, prefixes: readonly Prefix[], self: Claim, policy: Policy): Verdict {
  const onThisHost = claim.host_ip === self.host_ip;
  for (const prefix of prefixes) {
    const text = formatPrefix(prefix);
    const own = policy.hostNetworks.find(
      (network) =>
        overlaps(network.prefix, prefix) &&
        !(onThisHost && network.isStack !== false && formatPrefix(network.prefix) === text),
    );
    if (own && !policy.established?.(claim, text))
      return `subnet ${text} overlaps this host's network ${formatPrefix(own.prefix)} (${own.name}); change one of them`;
  }
  return undefined;
}

/** Reasons that lie in a claim already accepted, the stack's own among them. */
function collision(claim: Claim, prefixes: readonly Prefix[], self: Claim, taken: Taken, held?: Held): Verdict {
  const name = (other: Claim) => (other === self ? 'this stack' : `stack ${other.stack_id} on ${other.host_ip}`);
  const sameId = taken.ids.get(claim.stack_id);
  if (sameId)
    return `the stack id ${claim.stack_id} is already used by ${name(sameId)}; give one of them another STACK_ID`;
  const others = (owner: Claim | undefined) => (owner === claim ? undefined : owner);
  const { vtep_mac: mac } = claim;
  const sameMac = mac === undefined ? undefined : (taken.macs.get(mac) ?? others(held?.macs.get(mac)));
  if (sameMac) return `VTEP MAC ${mac} is already used by ${name(sameMac)}`;
  for (const prefix of prefixes) {
    const holding = held?.subnets.overlapping(prefix);
    const found = taken.subnets.overlapping(prefix) ?? (others(holding?.owner) && holding);
    if (found) {
      return `subnet ${formatPrefix(prefix)} overlaps ${formatPrefix(found.prefix)} of ${name(found.owner)}; give one of them another subnet`;
    }
  }
  return undefined;
}

/** The claims that stand so far, and whether one more can beside them. Whoever calls presents the senior ones first. */
export class Standing {
  readonly #self: Claim;
  readonly #policy: Policy;
  readonly #held: Held | undefined;
  readonly #taken: Taken = { ids: new Map(), macs: new Map(), subnets: new PrefixIndex() };

  /** The stack's own id, MAC and subnets always count as taken first. */
  constructor(self: Claim, policy: Policy, held?: Held) {
    this.#self = self;
    this.#policy = policy;
    this.#held = held;
    take(this.#taken, self, prefixesOf(self));
  }

  /** Without a reason against it the claim stands from now on. */
  admit(claim: Claim): Verdict {
    const self = this.#self;
    if (claim.vni !== self.vni) return `is on another network: VNI ${claim.vni}, this stack is on VNI ${self.vni}`;
    const prefixes = prefixesOf(claim);
    const reason =
      flaw(claim, prefixes, this.#policy) ??
      collision(claim, prefixes, self, this.#taken, this.#held) ??
      hostConflict(claim, prefixes, self, this.#policy);
    if (reason === undefined) take(this.#taken, claim, prefixes);
    return reason;
  }

  /** A claim that stood no longer does. */
  release(claim: Claim): void {
    this.#taken.ids.delete(claim.stack_id);
    if (claim.vtep_mac) this.#taken.macs.delete(claim.vtep_mac);
    for (const prefix of prefixesOf(claim)) this.#taken.subnets.remove(prefix);
  }
}

/** A verdict for each claim, in the order given, and what stands after them. */
export function judgeAll(
  self: Claim,
  claims: readonly Claim[],
  policy: Policy,
): { readonly verdicts: readonly Verdict[]; readonly standing: Standing } {
  const order = claims.map((claim, index) => ({ claim, index })).sort((a, b) => bySeniority(a.claim, b.claim));
  const pass = (held?: Held) => {
    const standing = new Standing(self, policy, held);
    const verdicts: Verdict[] = new Array(claims.length);
    for (const { claim, index } of order) verdicts[index] = standing.admit(claim);
    return { verdicts, standing };
  };
  const bySince = pass();
  // Where nothing is disputed it does not matter whose word counts.
  if (!policy.held || bySince.verdicts.every((verdict) => verdict === undefined)) return bySince;
  const sound = claims.filter(
    (claim) => claim.vni === self.vni && flaw(claim, prefixesOf(claim), policy) === undefined,
  );
  return pass(policy.held(sound));
}

export function judge(self: Claim, claims: readonly Claim[], policy: Policy): readonly Verdict[] {
  return judgeAll(self, claims, policy).verdicts;
}

/** Why the others reject this stack: it is flawed, or a senior stack has its id or one of its subnets. undefined when they do not. */
export function judgeSelf(self: Claim, claims: readonly Claim[], policy: Policy): Verdict {
  const mine = prefixesOf(self);
  const own = flaw(self, mine, policy);
  if (own !== undefined) return own;
  const meets = (claim: Claim) =>
    claim.stack_id === self.stack_id ||
    prefixesOf(claim).some((prefix) => mine.some((other) => overlaps(other, prefix)));
  // The dearest question last: of thousands hardly one gets that far.
  const seniors = claims.filter(
    (claim) =>
      claim.vni === self.vni &&
      bySeniority(claim, self) < 0 &&
      meets(claim) &&
      flaw(claim, prefixesOf(claim), policy) === undefined,
  );
  for (const claim of seniors.sort(bySeniority)) {
    if (claim.stack_id === self.stack_id) {
      return `another stack with the id ${claim.stack_id} started earlier, on ${claim.host_ip}; give this one another STACK_ID`;
    }
    const theirs = prefixesOf(claim).find((prefix) => mine.some((own) => overlaps(own, prefix)));
    if (theirs) {
      return `subnet ${formatPrefix(theirs)} is already used by stack ${claim.stack_id} on ${claim.host_ip}; give this stack another subnet`;
    }
  }
  return undefined;
}
