/** WireGuard's peers and the routes inside it, desired against observed -> the least input that makes them equal. Pure. */
import type { TunnelPeer } from '../desired/tunnel.ts';
import type { Route } from '../kernel/observed.ts';
import { ROUTE_PROTOCOL, WG_DEVICES } from '../kernel/owned.ts';
import type { WgDevice } from '../kernel/parse-wg.ts';

/** Seconds between packets to a silent peer: they complete the handshake before there is traffic, and keep NAT open (wg(8)). */
const KEEPALIVE_S = 25;

export interface PeerPlan {
  /** Input of `wg addconf`; empty when nothing is missing. */
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
  for (const [key, { endpoint, inner }] of want) {
    const have = device.peers.get(key);
    if (have?.allowedIps === `${inner}/32` && have.endpoint !== undefined && announced.get(key) === endpoint) continue;
    lines.push('[Peer]', `PublicKey = ${key}`, `AllowedIPs = ${inner}/32`, `Endpoint = ${endpoint}`);
    lines.push(`PersistentKeepalive = ${KEEPALIVE_S}`, '');
  }
  return { add: lines.join('\n'), remove: [...device.peers.keys()].filter((key) => !want.has(key)) };
}

export interface InnerRoute {
  readonly device: string;
  /** Source address: that of the device. */
  readonly source: string;
}

/** Host routes inside WireGuard: lines of `ip -batch`. A route of another device or source is changed in place, so no packet misses it. */
export function innerRoutePlan(
  want: ReadonlyMap<string, InnerRoute>,
  routes: readonly Route[],
): { add: string[]; remove: string[] } {
  const ours = routes.filter(
    ({ device, protocol }) => protocol === String(ROUTE_PROTOCOL) && WG_DEVICES.some((name) => name === device),
  );
  const have = new Map(ours.map(({ destination, device, source }) => [destination, `${device} ${source}`]));
  return {
    add: [...want]
      .filter(([address, { device, source }]) => have.get(`${address}/32`) !== `${device} ${source}`)
      .map(
        ([address, { device, source }]) =>
          `route replace ${address}/32 dev ${device} src ${source} proto ${ROUTE_PROTOCOL}`,
      ),
    remove: ours
      .filter(({ destination }) => !want.has(destination.replace('/32', '')))
      .map(({ destination, device }) => `route del ${destination} dev ${device} proto ${ROUTE_PROTOCOL}`),
  };
}

/** With `required`: routes that refuse what is meant for a stack where no route into the overlay stands before them. They are never removed. */
export function sealPlan(subnets: readonly string[], routes: readonly Route[], sealed: number): string[] {
  const have = new Set(
    routes.filter(({ protocol }) => protocol === String(sealed)).map(({ destination }) => destination),
  );
  return [...new Set(subnets)]
    .filter((subnet) => !have.has(subnet))
    .map((subnet) => `route add unreachable ${subnet} proto ${sealed} metric ${SEAL_METRIC}`);
}

/** Worse than any route of ours (1 to 65536). */
const SEAL_METRIC = 4_000_000_000;
