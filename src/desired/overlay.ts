/** Who is where -> the entries that the kernel shall hold. Pure and in a stable order, "as seen from this stack". */

import type { OverlayTables } from '../kernel/observed.ts';
import type { Claim } from '../peers/judge.ts';

/**
 * Elements of the nft sets that `ruleset.ts` declares, by the set's name, as nft prints them. One pair of sets for each prefix length, so
 * that they can be hash sets: a change of one costs the same however many there are (docs/decisions/0006).
 */
export type NftElements = ReadonlyMap<string, ReadonlySet<string>>;

/** `BASE : NEXT HOP` of the subnets with this prefix length. */
export const nexthopsOf = (length: number) => `nexthops_${length}`;
/** The same bases as a set: before Linux 6.3 a map cannot be asked whether it has a key. */
export const subnetsOf = (length: number) => `subnets_${length}`;
/** `VTEP MAC . BASE`: which inner source addresses may come from which VTEP. `BASE` inside WireGuard, which knows whose packet it is. */
export const sourcesOf = (length: number) => `sources_${length}`;

export interface Overlay {
  readonly tables: OverlayTables;
  readonly elements: NftElements;
  /** Prefix lengths of the peers' subnets, the smallest first. */
  readonly lengths: readonly number[];
}

/** What carries the packets between two stacks. */
export type Carrier = 'vxlan' | 'wireguard';

/** Sorts subnets into the sets of their prefix length. */
class ElementSets {
  readonly #carrier: Carrier;
  readonly sets = new Map<string, Set<string>>();
  readonly #lengths = new Set<number>();

  constructor(carrier: Carrier) {
    this.#carrier = carrier;
  }

  add(subnet: string, nexthop: string, mac: string): void {
    const [base, text] = subnet.split('/');
    const length = Number(text);
    this.#lengths.add(length);
    const vxlan = this.#carrier === 'vxlan';
    if (vxlan) this.#set(nexthopsOf(length)).add(`${base} : ${nexthop}`);
    this.#set(sourcesOf(length)).add(vxlan ? `${mac} . ${base}` : base!);
    this.#set(subnetsOf(length)).add(base!);
  }

  get lengths(): number[] {
    return [...this.#lengths].sort((a, b) => a - b);
  }

  #set(name: string): Set<string> {
    const set = this.sets.get(name) ?? new Set<string>();
    this.sets.set(name, set);
    return set;
  }
}

/** A peer without a data plane yet has nothing to be routed to. */
export function isRoutable(peer: Claim): peer is Claim & { gateway_ip: string; vtep_mac: string; vxlan_port: number } {
  return peer.subnets.length > 0 && !!peer.gateway_ip && !!peer.vtep_mac && !!peer.vxlan_port;
}

/**
 * Per peer one unicast FDB entry, one flood entry, one permanent neighbour, and one onlink route a subnet: nothing is learnt,
 * nothing is asked for on the wire. The next hop is the peer's own gateway address, so no overlay address range can collide.
 * Peers must have passed `judge`; one without a data plane yet contributes nothing. Inside WireGuard only the sets and the routed subnets count.
 */
export function desiredOverlay(peers: readonly Claim[], carrier: Carrier = 'vxlan'): Overlay {
  const routes = new Map<string, string>();
  const neighbours = new Map<string, string>();
  const unicast = new Map<string, string>();
  const flood = new Set<string>();
  const elements = new ElementSets(carrier);
  for (const { subnets, gateway_ip, vtep_mac, vxlan_port, host_ip } of peers.filter(isRoutable)) {
    const endpoint = `${host_ip}:${vxlan_port}`;
    neighbours.set(gateway_ip, vtep_mac);
    unicast.set(vtep_mac, endpoint);
    flood.add(endpoint);
    for (const subnet of subnets) {
      routes.set(subnet, gateway_ip);
      elements.add(subnet, gateway_ip, vtep_mac);
    }
  }
  return { tables: { routes, neighbours, unicast, flood }, elements: elements.sets, lengths: elements.lengths };
}
