/** What the router's own interfaces and routes say of its stack. Pure. */

import type { Observed, Route } from '../kernel/observed.ts';
import { GATEWAY_LABEL, ROUTE_PROTOCOL, VXLAN_DEVICE } from '../kernel/owned.ts';
import { contains, firstHost, formatIpv4, type Prefix, parseIpv4, prefixOf } from '../net/ipv4.ts';
import type { Problem } from '../state/router-file.ts';

export interface StackInterface {
  readonly name: string;
  /** The address Docker gave the router. */
  readonly address: string;
  readonly prefix: Prefix;
  readonly mtu: number;
}

export interface Gateway {
  /** The address the stack's containers have as their default gateway. */
  readonly address: string;
  readonly device: string;
  /** Where the router's own default route points: the bridge. */
  readonly upstream: string;
}

export interface StackFacts {
  readonly interfaces: readonly StackInterface[];
  readonly gateway: Gateway | undefined;
  readonly problems: readonly Problem[];
}

export interface GatewayPolicy {
  readonly gateway: 'auto' | 'off';
  readonly upstreamGateway: string | 'auto';
  /** Gateway address of the last router.json: the last resort when somebody deleted the labelled address. */
  readonly remembered: string | undefined;
}

function stackInterfaces(observed: Observed): StackInterface[] {
  return observed.addresses.flatMap(({ device, address, length, label }) => {
    const link = observed.links.find(({ name }) => name === device);
    const number = parseIpv4(address);
    const ours = label.endsWith(GATEWAY_LABEL) || device === VXLAN_DEVICE || device === 'lo';
    // A /31 or /32 is no network with containers in it.
    if (!link || number === undefined || ours || length > 30) return [];
    return [{ name: device, address, prefix: prefixOf(number, length), mtu: link.mtu }];
  });
}

function defaultRoute(routes: readonly Route[]): Route | undefined {
  const candidates = routes.filter(({ destination, via }) => destination === 'default' && via !== undefined);
  return candidates.sort((a, b) => a.metric - b.metric)[0];
}

const isOurs = (route: Route) => route.protocol === String(ROUTE_PROTOCOL);

/** The gateway address: our labelled one, else what Docker's default route names, else the one remembered. */
function gatewayAddress(observed: Observed, route: Route, upstream: string, policy: GatewayPolicy): string | undefined {
  const labelled = observed.addresses.find(
    ({ device, label }) => device === route.device && label.endsWith(GATEWAY_LABEL),
  );
  if (labelled) return labelled.address;
  if (!isOurs(route)) return route.via === upstream ? undefined : route.via;
  return policy.remembered;
}

function notSteered(network: StackInterface): Problem {
  const suggestion = formatIpv4(network.prefix.base + 2);
  return {
    code: 'not-gateway',
    message:
      `the containers of this stack do not use the router as their gateway; docker compose down && docker compose up -d, since a network ` +
      `cannot be changed in place. Where the compose file does not say it yet (docker-router init writes it), before that: under the network's ` +
      `ipam.config add "aux_addresses: {DefaultGatewayIPv4: ${suggestion}}" beside "gateway: ${formatIpv4(firstHost(network.prefix))}". ` +
      `Or set GATEWAY=off and route by hand`,
  };
}

export function stackFacts(observed: Observed, policy: GatewayPolicy): StackFacts {
  const interfaces = stackInterfaces(observed);
  if (interfaces.length === 0) {
    const message =
      'the router is on no network with an IPv4 subnet; give the service a network (and no network_mode: host)';
    return { interfaces, gateway: undefined, problems: [{ code: 'no-network', message }] };
  }
  if (policy.gateway === 'off') return { interfaces, gateway: undefined, problems: [] };
  const route = defaultRoute(observed.routes);
  const network = interfaces.find(({ name }) => name === route?.device) ?? interfaces[0]!;
  if (!route) return { interfaces, gateway: undefined, problems: [notSteered(network)] };
  const upstream = policy.upstreamGateway === 'auto' ? formatIpv4(firstHost(network.prefix)) : policy.upstreamGateway;
  const address = gatewayAddress(observed, route, upstream, policy);
  const number = address === undefined ? undefined : parseIpv4(address);
  if (address === undefined || number === undefined || !contains(network.prefix, number)) {
    return { interfaces, gateway: undefined, problems: [notSteered(network)] };
  }
  return { interfaces, gateway: { address, device: network.name, upstream }, problems: [] };
}
