/**
 * Our two nft tables as data. Every rule carries a hash of itself as its comment, so that comparing what the kernel has with what is
 * desired needs no understanding of nft's normalised listing: same hashes in the same order, same rules.
 */

import { NFT_TABLE, OWN_DEVICES, OWN_PATH, VXLAN_DEVICE, WG_DEVICES } from '../kernel/owned.ts';
import { hash64 } from '../net/hash.ts';
import { formatPrefix, maskOf, type Prefix } from '../net/ipv4.ts';
import { type NftElements, nexthopsOf, sourcesOf, subnetsOf } from './overlay.ts';

export interface RulesetInput {
  /** Interfaces whose containers have this router as their gateway, or all when the user routes by hand. */
  readonly stack: readonly { readonly name: string; readonly prefix: Prefix }[];
  /** Every address of the router itself: delivered to it, not forwarded. */
  readonly ownAddresses: readonly string[];
  /** MTU of vxlan0, or inside WireGuard; undefined while there is no such device. */
  readonly overlayMtu: number | undefined;
  /** Prefix lengths of the peers' subnets. They are disjoint, so the order in which the sets are asked does not matter. */
  readonly lengths: readonly number[];
  /** Forward with `fwd` from the ingress hook; false where the kernel cannot. */
  readonly fast: boolean;
  readonly masquerade: boolean;
  /** Network identifier of the overlay; undefined until discovery has told it. */
  readonly vni?: number | undefined;
  /** WireGuard's devices that are there, when it carries the traffic instead of vxlan0. */
  readonly wireguard?: readonly string[] | undefined;
}

export interface Chain {
  readonly name: string;
  /** `type ... hook ...;` of a base chain. */
  readonly hook?: string;
  readonly rules: readonly string[];
}

export interface Table {
  readonly family: 'netdev' | 'ip';
  readonly sets: readonly { readonly name: string; readonly declaration: string }[];
  readonly chains: readonly Chain[];
}

/** IPv4 and TCP headers without options: MSS = MTU - 40 (RFC 9293 section 3.7.1). */
const IP_TCP_HEADERS = 40;

const subnetSet = (length: number) => ({
  name: subnetsOf(length),
  declaration: `set ${subnetsOf(length)} { type ipv4_addr; }`,
});

function setsOf({ lengths, wireguard }: RulesetInput): Table['sets'] {
  if (wireguard)
    return lengths.flatMap((length) => [
      { name: sourcesOf(length), declaration: `set ${sourcesOf(length)} { type ipv4_addr; counter; }` },
      subnetSet(length),
    ]);
  return lengths.flatMap((length) => [
    { name: nexthopsOf(length), declaration: `map ${nexthopsOf(length)} { type ipv4_addr : ipv4_addr; }` },
    { name: sourcesOf(length), declaration: `set ${sourcesOf(length)} { type ether_addr . ipv4_addr; counter; }` },
    subnetSet(length),
  ]);
}

const toOverlayChain = (length: number) => `to_overlay_${length}`;

/**
 * Into the overlay. A packet is sent on before a routing decision exists: besides being faster, on one host the kernel hands a VXLAN
 * packet straight to the other stack's device together with the sender's routing decision, and a routed packet then loops.
 * What may exceed the MTU takes the ordinary path, where the kernel fragments it or answers "fragmentation needed"; TCP is sent on at any
 * length, since its segments are clamped and `meta length` shows the whole super-packet.
 * Into WireGuard everything takes the ordinary path: what comes out at the other end is a new packet, and the route says by which key it goes.
 */
function toOverlay({ fast, wireguard }: RulesetInput, mtu: number, length: number): string[] {
  const clamp = `tcp flags & (syn | rst) == syn tcp option maxseg size set ${mtu - IP_TCP_HEADERS}`;
  if (!fast || wireguard) return [clamp];
  return [
    clamp,
    // All fragments of a packet go one way: conntrack, on the ordinary one, puts them together and would wait for the last for ever.
    'ip frag-off & 0x3fff != 0 accept',
    `meta l4proto != tcp meta length > ${mtu} accept`,
    `fwd ip to ip daddr & ${maskOf(length)} map @${nexthopsOf(length)} device "${VXLAN_DEVICE}"`,
  ];
}

/** The router's own packets: their size is right already, and the mark that led them here ends here. */
function ownChain(lengths: readonly number[]): Chain {
  return {
    name: 'from_self',
    hook: `type filter hook ingress device "${OWN_DEVICES.back}" priority filter; policy drop;`,
    rules: lengths.map((length) => {
      const key = `ip daddr & ${maskOf(length)}`;
      return `${key} @${subnetsOf(length)} meta mark set 0 fwd ip to ${key} map @${nexthopsOf(length)} device "${VXLAN_DEVICE}"`;
    }),
  };
}

/** A packet that left the overlay and has passed the source check: for the router, for the stack, or dropped by the base chain's policy. */
function deliver(input: RulesetInput, mtu: number): string[] {
  const { stack, ownAddresses, fast } = input;
  return [
    ...(ownAddresses.length > 0 ? [`ip daddr { ${ownAddresses.join(', ')} } accept`] : []),
    `tcp flags & (syn | rst) == syn tcp option maxseg size set ${mtu - IP_TCP_HEADERS}`,
    ...stack.map(
      ({ name, prefix }) =>
        `ip daddr ${formatPrefix(prefix)} ${fast ? `fwd ip to ip daddr device "${name}"` : 'accept'}`,
    ),
  ];
}

/**
 * From the stack's side nothing comes that is another stack's, and no service makes packets of the overlay itself: with a UDP socket and no
 * right at all it would speak for any stack. What is for the router itself may be from a peer, by a published port.
 */
function falsehoods({ ownAddresses, vni, lengths }: RulesetInput): string[] {
  const spoofed = lengths.map((length) => `ip saddr & ${maskOf(length)} @${subnetsOf(length)} drop`);
  if (vni === undefined || ownAddresses.length === 0) return spoofed;
  // RFC 7348 section 5: flags, and the identifier before a last byte of zero; the kernel takes no other header.
  const header = `0x08000000${vni.toString(16).padStart(6, '0')}00`;
  return [...spoofed, `ip daddr != { ${ownAddresses.join(', ')} } ip protocol udp @th,64,64 ${header} drop`];
}

function entryChain(input: RulesetInput, { name, prefix }: RulesetInput['stack'][number], index: number): Chain {
  // pkttype: a bridge floods frames for MACs it does not know yet to every port, ours too.
  const sent = `meta pkttype host ip saddr ${formatPrefix(prefix)}`;
  return {
    name: `from_stack_${index}`,
    hook: `type filter hook ingress device "${name}" priority filter; policy accept;`,
    rules: [
      ...input.lengths.map(
        (length) => `${sent} ip daddr & ${maskOf(length)} @${subnetsOf(length)} goto ${toOverlayChain(length)}`,
      ),
      // Behind those, so that traffic between stacks does not pay for them.
      ...falsehoods(input),
    ],
  };
}

/**
 * Out of the overlay: only a source that the owner of the sending VTEP announced. WireGuard has compared a source with its sender already;
 * here it is one that some stack announced. A chain for each device, since a chain of several outlives one of them and does not come back to it.
 */
function exitChains({ lengths, wireguard }: RulesetInput): Chain[] {
  const chain = (name: string, device: string, match: string): Chain => ({
    name,
    hook: `type filter hook ingress device "${device}" priority filter; policy drop;`,
    rules: lengths.map((length) => `${match} & ${maskOf(length)} @${sourcesOf(length)} goto deliver`),
  });
  if (wireguard) return wireguard.map((device) => chain(`from_${device}`, device, 'ip saddr'));
  return [chain('from_overlay', VXLAN_DEVICE, 'ether saddr . ip saddr')];
}

function netdevTable(input: RulesetInput): Table {
  const { stack, lengths, overlayMtu: mtu, fast, wireguard } = input;
  const sets = setsOf(input);
  if (mtu === undefined) return { family: 'netdev', sets, chains: [] };
  return {
    family: 'netdev',
    sets,
    chains: [
      ...lengths.map((length) => ({ name: toOverlayChain(length), rules: toOverlay(input, mtu, length) })),
      { name: 'deliver', rules: deliver(input, mtu) },
      ...stack.map((network, index) => entryChain(input, network, index)),
      ...exitChains(input),
      ...(fast && !wireguard ? [ownChain(lengths)] : []),
    ],
  };
}

/**
 * Masquerading is needed where the host filters bridged traffic, since its conntrack has then seen the packet before the router
 * did. Only a first SYN: the SYN-ACK of a published port must leave as it is.
 */
function masqueradeRules({ stack, masquerade }: RulesetInput): string[] {
  if (!masquerade) return [];
  return stack.flatMap(({ name, prefix }) => {
    const leaving = `oifname "${name}" ip saddr ${formatPrefix(prefix)} ip daddr != ${formatPrefix(prefix)}`;
    return [
      `${leaving} tcp flags & (fin | syn | rst | ack) == syn masquerade`,
      `${leaving} meta l4proto != tcp masquerade`,
    ];
  });
}

/** What is for a stack that encrypts leaves by WireGuard's devices or not at all, whatever the routes say. */
function guards({ wireguard, lengths }: RulesetInput): Chain[] {
  if (!wireguard) return [];
  const devices = `{ ${WG_DEVICES.map((name) => `"${name}"`).join(', ')} }`;
  const rules = lengths.map(
    (length) => `oifname != ${devices} ip daddr & ${maskOf(length)} @${subnetsOf(length)} drop`,
  );
  return [{ name: 'sealed', hook: 'type filter hook postrouting priority raw; policy accept;', rules }];
}

/** Where the host's kernel was told to believe them, a service could lead the router's packets to itself. */
const REDIRECTS: Chain = {
  name: 'input',
  hook: 'type filter hook input priority filter; policy accept;',
  rules: ['icmp type redirect drop'],
};

function ipTable(input: RulesetInput): Table {
  // A service that obeys an ICMP redirect to the bridge would no longer use the router.
  const output = {
    name: 'output',
    hook: 'type filter hook output priority filter; policy accept;',
    rules: ['icmp type redirect drop'],
  };
  const masquerade = masqueradeRules(input);
  const postrouting = {
    name: 'postrouting',
    hook: 'type nat hook postrouting priority srcnat; policy accept;',
    rules: masquerade,
  };
  const own = {
    name: 'own',
    hook: 'type route hook output priority mangle; policy accept;',
    rules: [`oifname "${VXLAN_DEVICE}" meta mark set ${OWN_PATH}`],
  };
  const chains = [
    output,
    REDIRECTS,
    ...guards(input),
    ...(input.fast && input.overlayMtu !== undefined && !input.wireguard ? [own] : []),
    ...(masquerade.length > 0 ? [postrouting] : []),
  ];
  return { family: 'ip', sets: input.wireguard ? input.lengths.map(subnetSet) : [], chains };
}

export function desiredTables(input: RulesetInput): readonly [Table, Table] {
  return [netdevTable(input), ipTable(input)];
}

/** The comment that a rule carries: 48 bits over the chain's hook and the rule. */
export function ruleMark(chain: Chain, rule: string): string {
  return hash64(`${chain.hook ?? ''}\n${rule}`).slice(0, 12);
}

/** nft input that replaces a table as a whole, its elements included, in one transaction. */
export function replaceTable(table: Table, elements: NftElements): string {
  const name = `${table.family} ${NFT_TABLE}`;
  const lines = [`add table ${name}`, `delete table ${name}`, `table ${name} {`];
  for (const { declaration } of table.sets) lines.push(`  ${declaration}`);
  for (const chain of table.chains) {
    lines.push(`  chain ${chain.name} {`);
    if (chain.hook) lines.push(`    ${chain.hook}`);
    for (const rule of chain.rules) lines.push(`    ${rule} comment "${ruleMark(chain, rule)}"`);
    lines.push('  }');
  }
  lines.push('}');
  for (const set of table.sets)
    lines.push(...elementLines('add', table.family, set.name, elements.get(set.name) ?? []));
  return `${lines.join('\n')}\n`;
}

/** nft input that adds or deletes elements; a thousand a line, since nft's parser is slower on longer ones. */
export function elementLines(
  verb: 'add' | 'delete',
  family: string,
  set: string,
  elements: Iterable<string>,
): string[] {
  const all = [...elements];
  const lines: string[] = [];
  for (let i = 0; i < all.length; i += 1000) {
    lines.push(`${verb} element ${family} ${NFT_TABLE} ${set} { ${all.slice(i, i + 1000).join(', ')} }`);
  }
  return lines;
}
