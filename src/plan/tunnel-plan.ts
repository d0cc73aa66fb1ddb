/** WireGuard's peers and the routes into its devices, desired against observed -> the least input that makes them equal. Pure. */
import { allowedIps, type TunnelPeer } from '../desired/tunnel.ts';
import type { Route } from '../kernel/observed.ts';
import { ROUTE_PROTOCOL, SEAL_PROTOCOL, WG_DEVICES } from '../kernel/owned.ts';
import type { WgDevice } from '../kernel/parse-wg.ts';
import { routeMetric } from './plan.ts';

/** Seconds between packets to a silent peer: they complete the handshake before there is traffic, and keep NAT open (wg(8)). */
const KEEPALIVE_S = 25;

export interface PeerPlan {
  /** Input of `wg addconf`; empty when nothing is missing. A subnet that another peer of the device had is taken from it. */
  readonly add: string;
  readonly remove: readonly string[];
}

/**
 * An endpoint counts only when it is new or announced differently than before: WireGuard follows a peer that moves, and that
 * must not be undone. `announced` is what was set last, by key.
 */
export function peerPlan(
  want: ReadonlyMap<string, TunnelPeer>,
  device: WgDevice,
  announced: ReadonlyMap<string, string>,
): PeerPlan {
  const lines: string[] = [];
  for (const [key, { endpoint, allowedIps: subnets }] of want) {
    const have = device.peers.get(key);
    const same = have && allowedIps(have.allowedIps.split(',')) === subnets;
    if (same && have.endpoint !== undefined && announced.get(key) === endpoint) continue;
    lines.push('[Peer]', `PublicKey = ${key}`, `AllowedIPs = ${subnets}`, `Endpoint = ${endpoint}`);
    lines.push(`PersistentKeepalive = ${KEEPALIVE_S}`, '');
  }
  return { add: lines.join('\n'), remove: [...device.peers.keys()].filter((key) => !want.has(key)) };
}

export interface RoutePlan {
  /** Lines of `ip -batch`, in the order in which they are applied. */
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/**
 * Device by subnet. A route that is to lead into the other device is changed in place, so no packet misses it. `add` stands aside where
 * somebody else's route has the same metric.
 */
export function tunnelRoutePlan(want: ReadonlyMap<string, string>, routes: readonly Route[]): RoutePlan {
  const ours = routes.filter(
    ({ device, protocol }) => protocol === String(ROUTE_PROTOCOL) && WG_DEVICES.some((name) => name === device),
  );
  const have = new Map(ours.map(({ destination, device }) => [destination, device]));
  const line = (verb: string, subnet: string, device: string) =>
    `route ${verb} ${subnet} dev ${device} proto ${ROUTE_PROTOCOL} metric ${routeMetric(subnet)}`;
  return {
    add: [...want]
      .filter(([subnet, device]) => have.get(subnet) !== device)
      .map(([subnet, device]) => line(have.has(subnet) ? 'change' : 'add', subnet, device)),
    remove: ours
      .filter(({ destination }) => !want.has(destination))
      .map(({ destination, device }) => `route del ${destination} dev ${device} proto ${ROUTE_PROTOCOL}`),
  };
}

/** Worse than any route of ours (1 to 65536). */
const SEAL_METRIC = 4_000_000_000;

/** Routes that refuse what is meant for a stack where no route into WireGuard stands before them. */
export function sealPlan(subnets: readonly string[], routes: readonly Route[]): RoutePlan {
  const have = new Set(
    routes.filter(({ protocol }) => protocol === String(SEAL_PROTOCOL)).map(({ destination }) => destination),
  );
  const want = new Set(subnets);
  const line = (verb: string, subnet: string) =>
    `route ${verb} unreachable ${subnet} proto ${SEAL_PROTOCOL} metric ${SEAL_METRIC}`;
  return {
    add: [...want].filter((subnet) => !have.has(subnet)).map((subnet) => line('add', subnet)),
    remove: [...have].filter((subnet) => !want.has(subnet)).map((subnet) => line('del', subnet)),
  };
}
