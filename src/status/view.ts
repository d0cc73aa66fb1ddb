/** discovery.json, router.json and status.json -> what `docker-router status` says. Pure. */
import type { PeerEntry, SelfEntry } from '../state/discovery-file.ts';
import type { RouterFile } from '../state/router-file.ts';
import type { PeerStatus, StatusFile } from '../state/status-file.ts';
import { udpPorts } from './ports.ts';

/** Unanswered probes in a row after which a peer counts as unreachable: half a minute. */
const SILENT_PROBES = 3;

export const CONDITIONS = [
  /** Its router answers through the tunnel. */
  'ok',
  /** Announced and routed, and its router does not answer. */
  'unreachable',
  /** Routed; not heard of for longer than expected. */
  'stale',
  'rejected',
  /** Has no router yet. */
  'waiting',
  /** Not probed yet. */
  'unknown',
] as const;
export type Condition = (typeof CONDITIONS)[number];

export interface PeerView extends Omit<PeerStatus, 'stack_id'> {
  readonly stack_id: string;
  readonly condition: Condition;
  readonly reason?: string;
  readonly host_ip: string;
  readonly vxlan_endpoint?: string;
  /** Where packets are sent to: two ports of WireGuard, or one of VXLAN. */
  readonly udp_ports: readonly number[];
  readonly subnets: readonly string[];
  readonly gateway_ip?: string;
  /** Whether its packets stay on this host, cross the underlay, or arrive on a published port. */
  readonly path: 'same host' | 'host' | 'published' | 'none';
  readonly encryption: string;
  readonly source: string;
  readonly last_seen: string;
}

export interface StatusView {
  readonly version: 1;
  readonly self: {
    readonly stack_id: string;
    readonly vni: number;
    readonly host_ip: string;
    readonly interface?: string;
    readonly subnets: readonly string[];
    readonly gateway_ip?: string;
    readonly underlay?: string;
    readonly vxlan_port?: number;
    readonly udp_ports: readonly number[];
    readonly mtu?: number;
    /** What keeps this stack from working, in words; empty when nothing does. */
    readonly problems: readonly string[];
  };
  readonly sources: Readonly<Record<string, string>>;
  readonly peers: readonly PeerView[];
}

export interface StatusInput {
  readonly self: SelfEntry;
  readonly peers: readonly PeerEntry[];
  readonly sources: Readonly<Record<string, { readonly state: string; readonly message?: string | undefined }>>;
  readonly router: RouterFile | undefined;
  readonly measured: StatusFile | undefined;
}

/** @param measured what the router measured of this very claim to the id */
export function condition(peer: PeerEntry, measured: PeerStatus | undefined): Condition {
  if (peer.status === 'rejected') return 'rejected';
  if (peer.subnets.length === 0) return 'waiting';
  if ((measured?.silent ?? 0) >= SILENT_PROBES) return 'unreachable';
  if (peer.status === 'stale') return 'stale';
  return measured?.round_trip_ms === undefined ? 'unknown' : 'ok';
}

function pathOf(peer: PeerEntry, self: SelfEntry, router: RouterFile | undefined): PeerView['path'] {
  if (peer.status === 'rejected' || peer.subnets.length === 0) return 'none';
  if (router?.underlay === 'published') return 'published';
  return peer.host_ip === self.host_ip ? 'same host' : 'host';
}

const REMEDIES: Partial<Record<Condition, string>> = {
  unreachable:
    'its router does not answer through the tunnel: is UDP to its endpoint open in both directions? docker-router doctor says more',
};

function peerView(peer: PeerEntry, input: StatusInput, measured: PeerStatus | undefined): PeerView {
  const { stack_id, host_ip, vxlan_endpoint, subnets, gateway_ip, source, last_seen } = peer;
  const found = condition(peer, measured);
  const reason = peer.reason ?? REMEDIES[found];
  return {
    ...measured,
    stack_id,
    condition: found,
    ...(reason && { reason }),
    host_ip,
    ...(vxlan_endpoint && { vxlan_endpoint }),
    udp_ports: udpPorts(peer),
    subnets,
    ...(gateway_ip && { gateway_ip }),
    path: pathOf(peer, input.self, input.router),
    encryption: input.router?.encryption?.engine ?? 'off',
    source,
    last_seen,
  };
}

function selfView({ self, router }: StatusInput): StatusView['self'] {
  const { stack_id, vni, host_ip } = self;
  const missing = router ? [] : ['there is no router.json: is the router of this stack running with the same volume?'];
  return {
    stack_id,
    vni,
    host_ip,
    ...(self.interface && { interface: self.interface }),
    subnets: router?.subnets ?? [],
    ...(router?.gateway_ip && { gateway_ip: router.gateway_ip }),
    ...(router?.underlay && { underlay: router.underlay }),
    ...(router?.vxlan_port && { vxlan_port: router.vxlan_port }),
    udp_ports: router ? udpPorts(router) : [],
    ...(router?.mtu && { mtu: router.mtu }),
    problems: [
      ...missing,
      ...(self.reason ? [self.reason] : []),
      ...(router?.problems ?? []).map(({ message }) => message),
    ],
  };
}

/** Peers by name. */
export function statusView(input: StatusInput): StatusView {
  const measured = new Map((input.measured?.peers ?? []).map((peer) => [peer.stack_id, peer]));
  const peers = [...input.peers].sort((a, b) => (a.stack_id < b.stack_id ? -1 : 1));
  const sources = Object.entries(input.sources).map(([name, { state, message }]) => [
    name,
    state === 'ok' ? 'ok' : (message ?? state),
  ]);
  return {
    version: 1,
    self: selfView(input),
    sources: Object.fromEntries(sources),
    // Another claim to the same id is rejected; what was measured is the accepted one's.
    peers: peers.map((peer) =>
      peerView(peer, input, peer.status === 'rejected' ? undefined : measured.get(peer.stack_id)),
    ),
  };
}
