/** Which stacks there are, and who may ask what: the router's own state as the name server needs it. Pure. */
import { contains, type Prefix, parseIpv4, parsePrefix } from '../net/ipv4.ts';
import { PrefixIndex } from '../net/prefix-index.ts';

/** What a stack is known by. */
export interface KnownStack {
  readonly stack_id: string;
  readonly subnets: readonly string[];
  readonly gateway_ip?: string | undefined;
}

export interface View {
  readonly self: KnownStack & { readonly gateway_ip: string };
  /** Those that are routed to. */
  readonly peers: readonly KnownStack[];
}

export type Peer = KnownStack & { readonly gateway_ip: string };

/** Who asks, by the source address. */
export type Asker =
  /** A service of this stack, or the host: it may ask everything. */
  | { readonly kind: 'stack' }
  /** This router itself: what it asks is never forwarded, so nothing can go round in circles. */
  | { readonly kind: 'self' }
  /** Another stack's router: it may ask for the services of this stack. */
  | { readonly kind: 'peer'; readonly peer: Peer };

const prefixes = ({ subnets }: KnownStack): Prefix[] => subnets.flatMap((subnet) => parsePrefix(subnet) ?? []);

/** Whether an address lies in a stack's subnets. */
export function isInside(stack: KnownStack, address: string): boolean {
  const number = parseIpv4(address);
  return number !== undefined && prefixes(stack).some((prefix) => contains(prefix, number));
}

export class Directory {
  readonly self: View['self'];
  readonly #view: View;
  readonly #ownAddresses: ReadonlySet<string>;
  /** Made when first asked: with thousands of peers most changes come without a question between them. */
  #maps: { byId: Map<string, Peer>; byGateway: Map<string, Peer>; bySubnet: PrefixIndex<Peer> } | undefined;

  constructor(view: View, ownAddresses: readonly string[]) {
    this.self = view.self;
    this.#view = view;
    this.#ownAddresses = new Set([view.self.gateway_ip, ...ownAddresses]);
  }

  peer(stackId: string): Peer | undefined {
    return this.#index().byId.get(stackId);
  }

  /** The peer in whose subnet an address lies. */
  peerAt(address: string): Peer | undefined {
    return this.#index().bySubnet.overlapping({ base: parseIpv4(address)!, length: 32 })?.owner;
  }

  asker(source: string): Asker | undefined {
    if (this.#ownAddresses.has(source)) return { kind: 'self' };
    if (isInside(this.self, source)) return { kind: 'stack' };
    const peer = this.#index().byGateway.get(source);
    return peer && { kind: 'peer', peer };
  }

  #index() {
    if (this.#maps) return this.#maps;
    const maps = {
      byId: new Map<string, Peer>(),
      byGateway: new Map<string, Peer>(),
      bySubnet: new PrefixIndex<Peer>(),
    };
    for (const known of this.#view.peers) {
      if (!known.gateway_ip) continue;
      const peer = { ...known, gateway_ip: known.gateway_ip };
      maps.byId.set(peer.stack_id, peer);
      maps.byGateway.set(peer.gateway_ip, peer);
      for (const prefix of prefixes(peer)) maps.bySubnet.add(prefix, peer);
    }
    this.#maps = maps;
    return maps;
  }
}
