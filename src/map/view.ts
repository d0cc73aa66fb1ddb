/** The shared volume's files -> what the map shows. Pure. Everything but discovery.json may be missing. */
import * as v from 'valibot';
import { PEER_STATUSES, SourceStateSchema } from '../state/discovery-file.ts';
import { ProblemSchema } from '../state/router-file.ts';
import { endpointInWords, udpPorts } from '../status/ports.ts';
import type { MapPeer, MapSelf, MapView } from './map-view.ts';

/** Drawn and listed; the others are counted. A drawing of more would show nothing. */
export const MAX_SHOWN = 500;
/** Probes without an answer after which a tunnel counts as broken: one or two get lost anywhere. */
const SILENT = 3;
const LOSSY = 0.02;
/** A status older than this is of a router that no longer runs. */
const OLD_STATUS_MS = 120_000;

const Text = (max: number) => v.pipe(v.string(), v.maxLength(max));
const Time = v.pipe(v.string(), v.isoTimestamp());
const Subnets = v.fallback(v.pipe(v.array(Text(43)), v.maxLength(32)), []);
const Port = v.fallback(v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))), undefined);
const Entry = {
  stack_id: Text(63),
  host_ip: Text(45),
  vni: v.number(),
  vxlan_endpoint: v.optional(Text(64)),
  vxlan_port: Port,
  wg_port: Port,
  wg_other_port: Port,
  subnets: Subnets,
  gateway_ip: v.optional(Text(45)),
  source: v.fallback(Text(64), ''),
  last_seen: Time,
};
const PeerSchema = v.object({
  ...Entry,
  instance: v.fallback(Text(64), ''),
  status: v.picklist(PEER_STATUSES),
  reason: v.optional(Text(500)),
});
const DiscoverySchema = v.object({
  last_update: Time,
  self: v.object({ ...Entry, interface: v.optional(Text(15)) }),
  sources: v.fallback(v.record(v.string(), SourceStateSchema), {}),
  peers: v.array(v.unknown()),
});
const RouterSchema = v.object({
  last_update: Time,
  underlay: v.fallback(v.optional(Text(16)), undefined),
  mtu: v.fallback(v.optional(v.number()), undefined),
  problems: v.fallback(v.array(ProblemSchema), []),
});
const Count = v.fallback(v.optional(v.pipe(v.number(), v.minValue(0))), undefined);
/** What the router measures: see state/status-file.ts. Read by itself, so that a map shows what it can of a newer or older one. */
const MeasuredSchema = v.object({
  stack_id: Text(63),
  round_trip_ms: Count,
  loss: Count,
  silent: Count,
  received_bytes: Count,
});
const StatusSchema = v.object({ last_update: Time, peers: v.array(v.unknown()) });
type Measured = v.InferOutput<typeof MeasuredSchema>;
type Peer = v.InferOutput<typeof PeerSchema>;

/** Texts of the files; undefined where there is none. */
export interface Files {
  readonly discovery?: string;
  readonly router?: string;
  readonly status?: string;
}

function parsed<S extends v.GenericSchema>(schema: S, text: string | undefined): v.InferOutput<S> | undefined {
  if (text === undefined) return undefined;
  try {
    const result = v.safeParse(schema, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}

function each<S extends v.GenericSchema>(schema: S, items: readonly unknown[]): v.InferOutput<S>[] {
  return items.flatMap((item) => {
    const result = v.safeParse(schema, item);
    return result.success ? [result.output] : [];
  });
}

const percent = (share: number) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

/** With the ports of WireGuard where the stack encrypts. */
const endpointOf = (entry: Pick<Peer, 'host_ip' | 'vxlan_endpoint' | 'vxlan_port' | 'wg_port' | 'wg_other_port'>) =>
  endpointInWords({ ...entry, udp_ports: udpPorts(entry) });

/** How a stack is and why, for a person. */
function judged(peer: Peer, measured: Measured | undefined): Pick<MapPeer, 'health' | 'words'> {
  if (peer.status === 'rejected') return { health: 'refused', words: peer.reason ?? 'refused, without a reason' };
  if (peer.subnets.length === 0)
    return { health: 'waiting', words: 'it has no router yet, or one that does not know its subnet' };
  if ((measured?.silent ?? 0) >= SILENT) {
    const words = `it announces itself, but nothing comes back through the tunnel: is UDP ${endpointOf(peer)} open in both directions?`;
    return { health: 'broken', words };
  }
  if (peer.status === 'stale')
    return { health: 'stale', words: 'not heard for a while; traffic still goes there until it times out' };
  if ((measured?.loss ?? 0) >= LOSSY)
    return { health: 'lossy', words: `${percent(measured!.loss!)} of the probes get lost` };
  if (measured?.round_trip_ms === undefined) return { health: 'known', words: 'connected; nothing measured yet' };
  return { health: 'good', words: 'connected' };
}

function peerOf(peer: Peer, measured: Measured | undefined): MapPeer {
  return {
    key: `${peer.stack_id}/${peer.instance}`,
    stack: peer.stack_id,
    host: peer.host_ip,
    vni: peer.vni,
    endpoint: endpointOf(peer),
    subnets: peer.subnets,
    gateway: peer.gateway_ip ?? '',
    source: peer.source,
    lastSeen: peer.last_seen,
    ...judged(peer, measured),
    ...(measured?.round_trip_ms !== undefined && { roundTripMs: measured.round_trip_ms }),
    ...(measured?.loss !== undefined && { loss: measured.loss }),
    ...(measured?.received_bytes !== undefined && { receivedBytes: measured.received_bytes }),
  };
}

function selfOf(
  file: v.InferOutput<typeof DiscoverySchema>,
  router: v.InferOutput<typeof RouterSchema> | undefined,
): MapSelf {
  const { self, sources } = file;
  const failing = Object.entries(sources).filter(([, { state }]) => state === 'failing');
  return {
    stack: self.stack_id,
    host: self.host_ip,
    vni: self.vni,
    endpoint: endpointOf(self),
    subnets: self.subnets,
    gateway: self.gateway_ip ?? '',
    underlay: router?.underlay ?? '',
    mtu: router?.mtu,
    sources: Object.keys(sources),
    problems: [
      ...(router
        ? router.problems.map(({ message }) => message)
        : ['the router has written nothing yet (router.json)']),
      ...failing.map(([name, { message }]) => `discovery by ${name}: ${message ?? 'fails'}`),
    ],
  };
}

/** @param now milliseconds since 1970 */
export function viewOf(files: Files, now: number): MapView {
  const generated = new Date(now).toISOString();
  const file = parsed(DiscoverySchema, files.discovery);
  if (!file) {
    const problem =
      files.discovery === undefined
        ? 'There is no discovery.json in the shared volume yet. Does the service discovery run?'
        : 'discovery.json in the shared volume cannot be read: it is damaged, or of another version.';
    return { generated, problem, peers: [], hidden: 0 };
  }
  const status = parsed(StatusSchema, files.status);
  const fresh = status && now - Date.parse(status.last_update) <= OLD_STATUS_MS ? status : undefined;
  const measured = new Map(each(MeasuredSchema, fresh?.peers ?? []).map((entry) => [entry.stack_id, entry]));
  const peers = each(PeerSchema, file.peers).map((peer) =>
    peerOf(peer, peer.status === 'rejected' ? undefined : measured.get(peer.stack_id)),
  );
  // What needs somebody comes first, so that it is never among those left out.
  const order = (peer: MapPeer) => Number(['good', 'known'].includes(peer.health));
  const shown = peers.toSorted((a, b) => order(a) - order(b)).slice(0, MAX_SHOWN);
  return {
    generated,
    measured: fresh?.last_update,
    self: selfOf(file, parsed(RouterSchema, files.router)),
    peers: shown,
    hidden: peers.length - shown.length,
  };
}
