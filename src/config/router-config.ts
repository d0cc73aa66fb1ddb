/** Environment of the router daemon -> configuration. DESIGN section 4 is the contract. */

import type { Encryption } from '../desired/tunnel.ts';
import { type CommonConfig, readCommon } from './common.ts';
import { auto, domain, hostAddress, port, subnet } from './parsers.ts';
import { duration, type Environment, integer, list, oneOf, Variables } from './variables.ts';

export interface RouterConfig extends CommonConfig {
  readonly underlay: 'auto' | 'host' | 'published';
  readonly vxlanPort: number | 'auto';
  /** Discovery's port, never taken for VXLAN. */
  readonly discoveryPort: number;
  readonly vxlanMtu: number | 'auto';
  readonly gateway: 'auto' | 'off';
  /** Where the router's own default route points; `auto` is the first address of the subnet, which Docker gives its bridge. */
  readonly upstreamGateway: string | 'auto';
  readonly masquerade: 'auto' | 'on' | 'off';
  readonly allowedSubnets: readonly string[];
  readonly resyncMs: number;
  /** Domain of the names that the router answers, in lower case; undefined when it answers none. */
  readonly namesDomain: string | undefined;
  /** How often each of the other routers is asked whether it is there. */
  readonly probeMs: number;
  readonly encryption: Encryption;
  /** UDP port of WireGuard's first slot; the second one has the next. */
  readonly wgPort: number | 'auto';
  readonly keyLifetimeMs: number;
  /** Handle of the host's network namespace. */
  readonly handle: string;
}

/** @throws ConfigError naming every malformed variable at once. */
export function readRouterConfig(env: Environment): RouterConfig {
  const vars = new Variables(env);
  const names = vars.optional('NAMES', oneOf('on', 'off'), 'on');
  const namesDomain = vars.optional('NAMES_DOMAIN', domain, 'internal');
  const config: RouterConfig = {
    ...readCommon(vars),
    underlay: vars.optional('UNDERLAY', oneOf('auto', 'host', 'published'), 'auto'),
    vxlanPort: vars.optional('VXLAN_PORT', auto(port), 'auto'),
    discoveryPort: vars.optional('DISCOVERY_PORT', port, 4790),
    vxlanMtu: vars.optional('VXLAN_MTU', auto(integer(576, 65_485)), 'auto'),
    gateway: vars.optional('GATEWAY', oneOf('auto', 'off'), 'auto'),
    upstreamGateway: vars.optional('UPSTREAM_GATEWAY', auto(hostAddress), 'auto'),
    masquerade: vars.optional('MASQUERADE', oneOf('auto', 'on', 'off'), 'auto'),
    allowedSubnets: vars.optional('ALLOWED_SUBNETS', list(subnet), [
      '10.0.0.0/8',
      '172.16.0.0/12',
      '192.168.0.0/16',
      '100.64.0.0/10',
    ]),
    resyncMs: vars.optional('RESYNC_INTERVAL', duration(1000, 3_600_000), 60_000),
    namesDomain: names === 'on' ? namesDomain : undefined,
    probeMs: vars.optional('PROBE_INTERVAL', duration(500, 3_600_000), 10_000),
    encryption: vars.optional('ENCRYPTION', oneOf('off', 'wireguard', 'required'), 'off'),
    wgPort: vars.optional('WG_PORT', auto(integer(1, 65_534)), 'auto'),
    keyLifetimeMs: vars.optional('WG_KEY_LIFETIME', duration(10_000, 30 * 86_400_000), 86_400_000),
    handle: vars.text('UNDERLAY_HANDLE') ?? '/run/netns/underlay',
  };
  if (config.vxlanPort === config.discoveryPort) vars.problem('VXLAN_PORT must differ from DISCOVERY_PORT');
  vars.finish();
  return config;
}
