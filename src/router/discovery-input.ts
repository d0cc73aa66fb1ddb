/** discovery.json as the router takes it: hostile input, each peer judged by itself. Pure. */
import type * as v from 'valibot';
import { parsePrefix } from '../net/ipv4.ts';
import { type Claim, judgeAll, type Standing } from '../peers/judge.ts';
import { type Parsed, parseJson, parseWith } from '../record/record.ts';
import {
  DiscoveryEnvelopeSchema,
  MAX_DISCOVERY_BYTES,
  type PeerEntry,
  PeerSchema,
  type SelfEntry,
  type SourceState,
} from '../state/discovery-file.ts';

export interface DroppedInput {
  readonly count: number;
  /** Milliseconds before the file was written. */
  readonly ago: number;
}

export interface DiscoveryInput {
  readonly self: SelfEntry;
  readonly peers: readonly PeerEntry[];
  readonly sources?: Readonly<Record<string, SourceState>>;
  /** All that the file names, where `peers` is only those with whom there is a way to speak. */
  readonly known?: readonly PeerEntry[];
  /** Input that discovery dropped, by kind. */
  readonly droppedInput?: Readonly<Record<string, DroppedInput>>;
  /** Entries that were not understood, in words. */
  readonly dropped: readonly string[];
}

function droppedOf(file: v.InferOutput<typeof DiscoveryEnvelopeSchema>): Record<string, DroppedInput> {
  const { dropped = {}, last_dropped = {}, last_update } = file;
  const ago = (kind: string) => Date.parse(last_update) - Date.parse(last_dropped[kind] ?? last_update);
  return Object.fromEntries(Object.entries(dropped).map(([kind, count]) => [kind, { count, ago: ago(kind) }]));
}

export function parseDiscovery(text: string): Parsed<DiscoveryInput> {
  const envelope = parseJson(DiscoveryEnvelopeSchema, text, MAX_DISCOVERY_BYTES);
  if (!envelope.ok) return envelope;
  const peers: PeerEntry[] = [];
  const dropped: string[] = [];
  for (const [index, item] of envelope.value.peers.entries()) {
    const peer = parseWith(PeerSchema, item);
    if (peer.ok) peers.push(peer.value);
    else dropped.push(`peers[${index}]: ${peer.error}`);
  }
  return {
    ok: true,
    value: {
      self: envelope.value.self,
      peers,
      sources: envelope.value.sources ?? {},
      dropped,
      droppedInput: droppedOf(envelope.value),
    },
  };
}

/** The part of a stack's own entry that decides what the kernel shall hold; times do not. */
export function selfPart({ self }: DiscoveryInput): string {
  const { last_seen: _seen, status: _status, ...rest } = self;
  return JSON.stringify(rest);
}

/** Whether two files ask the same of the kernel. Without a text of them to compare: it would be megabytes for thousands of peers. */
export function sameRouted(a: DiscoveryInput | undefined, b: DiscoveryInput): boolean {
  return (
    a !== undefined &&
    a.peers.length === b.peers.length &&
    a.peers.every((peer, index) => {
      const other = b.peers[index]!;
      const rejected = peer.status === 'rejected';
      return (
        peer.stack_id === other.stack_id &&
        rejected === (other.status === 'rejected') &&
        peer.this_host === other.this_host &&
        sameClaim(peer, other)
      );
    }) &&
    selfPart(a) === selfPart(b)
  );
}

export interface Accepted {
  readonly peers: readonly PeerEntry[];
  /** Peers that discovery accepted and this check does not: `stack-b: reason`. */
  readonly refused: readonly string[];
  readonly standing: Standing;
}

const candidatesOf = ({ peers }: DiscoveryInput) => peers.filter(({ status }) => status !== 'rejected');

/** Checks again what discovery has accepted, against the subnets that the router itself sees. */
export function acceptPeers(
  input: DiscoveryInput,
  ownSubnets: readonly string[],
  allowedSubnets: readonly string[],
): Accepted {
  const candidates = candidatesOf(input);
  const self: Claim = { ...input.self, subnets: [...ownSubnets] };
  const policy = { allowedSubnets: allowedSubnets.flatMap((subnet) => parsePrefix(subnet) ?? []), hostNetworks: [] };
  const { verdicts, standing } = judgeAll(self, candidates, policy);
  const peers: PeerEntry[] = [];
  const refused: string[] = [];
  for (const [index, peer] of candidates.entries()) {
    if (verdicts[index] === undefined) peers.push(peer);
    else refused.push(`${peer.stack_id}: ${verdicts[index]}`);
  }
  return { peers, refused, standing };
}

function sameClaim(a: Claim | undefined, b: Claim): boolean {
  return (
    a !== undefined &&
    a.instance === b.instance &&
    a.since === b.since &&
    a.vni === b.vni &&
    a.host_ip === b.host_ip &&
    a.gateway_ip === b.gateway_ip &&
    a.vtep_mac === b.vtep_mac &&
    a.vxlan_port === b.vxlan_port &&
    a.wg_public_key === b.wg_public_key &&
    a.wg_port === b.wg_port &&
    a.wg_slot === b.wg_slot &&
    a.wg_other_public_key === b.wg_other_public_key &&
    a.wg_other_port === b.wg_other_port &&
    a.subnets.length === b.subnets.length &&
    a.subnets.every((subnet, index) => subnet === b.subnets[index])
  );
}

/** Entries of `from` that `to` does not have, or has otherwise. */
function differing(from: readonly PeerEntry[], to: readonly PeerEntry[]): PeerEntry[] {
  const others = new Map(to.map((peer) => [peer.stack_id, peer]));
  return from.filter((peer) => !sameClaim(others.get(peer.stack_id), peer));
}

export interface Difference {
  /** Entries of the first list that the second does not have, or has otherwise. */
  readonly lost: readonly PeerEntry[];
  /** The other way round. */
  readonly gained: readonly PeerEntry[];
  /** What of the second list lies between its first and its last entry that differ. */
  readonly between: readonly PeerEntry[];
}

/** What both lists begin and end with is passed over: for one change among thousands little is left to be looked up. */
export function difference(before: readonly PeerEntry[], after: readonly PeerEntry[]): Difference {
  const same = (a: PeerEntry, b: PeerEntry) => a.stack_id === b.stack_id && sameClaim(a, b);
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && same(before[head]!, after[head]!)) head += 1;
  let tail = 0;
  while (tail < most - head && same(before[before.length - 1 - tail]!, after[after.length - 1 - tail]!)) tail += 1;
  const old = before.slice(head, before.length - tail);
  const between = after.slice(head, after.length - tail);
  return { lost: differing(old, between), gained: differing(between, old), between };
}

const hasTwice = (peers: readonly PeerEntry[]) => new Set(peers.map(({ stack_id }) => stack_id)).size !== peers.length;

/**
 * What `acceptPeers` would accept of the next file, found from what changed alone: when nobody was refused and no newcomer meets an
 * obstacle, nobody is refused, in whatever order they are judged. undefined when that does not hold; `before` is then used up.
 */
export function acceptChanges(before: Accepted, input: DiscoveryInput): Accepted | undefined {
  if (before.refused.length > 0) return undefined;
  const peers = candidatesOf(input);
  const { lost, gained, between } = difference(before.peers, peers);
  // An id that was accepted before and comes twice now has its second entry here, or as a newcomer whose id is taken.
  if (hasTwice(between)) return undefined;
  for (const peer of lost) before.standing.release(peer);
  for (const peer of gained) if (before.standing.admit(peer) !== undefined) return undefined;
  return { peers, refused: [], standing: before.standing };
}
