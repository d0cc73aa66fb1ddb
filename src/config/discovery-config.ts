/** Environment of the discovery daemon -> configuration. DESIGN section 4 is the contract. */
import { type CommonConfig, readCommon } from './common.ts';
import { type DnsConfig, readDns } from './dns-config.ts';
import { type EtcdConfig, readEtcd } from './etcd-config.ts';
import { type GossipConfig, readGossip } from './gossip-config.ts';
import { auto, hostAddress, multicastGroup, port, stackId, stackPattern, subnet, vni } from './parsers.ts';
import { readTrust, type TrustConfig } from './trust-config.ts';
import { duration, type Environment, integer, list, oneOf, Variables } from './variables.ts';

export const SOURCE_NAMES = ['multicast', 'etcd', 'dns', 'gossip'] as const;
export type SourceName = (typeof SOURCE_NAMES)[number];

export interface MulticastConfig {
  readonly group: string;
  readonly port: number;
  /** IP_MULTICAST_TTL: 1 stays on the link (RFC 1112 section 6.1). */
  readonly ttl: number;
  readonly announceIntervalMs: number;
}

export interface DiscoveryConfig extends CommonConfig {
  readonly stackId: string;
  readonly vni: number;
  readonly hostIp: string | 'auto';
  readonly modes: readonly SourceName[];
  readonly peerTimeoutMs: number;
  /** Peers' subnets are accepted only inside one of these. */
  readonly allowedSubnets: readonly string[];
  /** Patterns of stack ids. Empty: every stack is allowed, and none denied. */
  readonly allowStacks: readonly string[];
  readonly denyStacks: readonly string[];
  /** undefined: nothing is sealed and nothing is signed. */
  readonly trust: TrustConfig | undefined;
  readonly multicast: MulticastConfig;
  /** Set where the mode is on. */
  readonly etcd: EtcdConfig | undefined;
  readonly dns: DnsConfig | undefined;
  readonly gossip: GossipConfig | undefined;
}

const mode = oneOf(...SOURCE_NAMES);
/** RFC 1918 and RFC 6598. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'];

function readMulticast(vars: Variables): MulticastConfig {
  return {
    group: vars.optional('MULTICAST_GROUP', multicastGroup, '239.1.1.1'),
    port: vars.optional('DISCOVERY_PORT', port, 4790),
    ttl: vars.optional('MULTICAST_TTL', integer(1, 255), 1),
    announceIntervalMs: vars.optional('ANNOUNCE_INTERVAL', duration(1000, 3_600_000), 30_000),
  };
}

/** @throws ConfigError naming every missing or malformed variable at once. */
export function readDiscoveryConfig(env: Environment): DiscoveryConfig {
  const vars = new Variables(env);
  const id = vars.required('STACK_ID', stackId, 'stack-a');
  const network = vars.required('VNI', vni, '1000');
  const config = {
    ...readCommon(vars),
    stackId: id ?? '',
    vni: network ?? 0,
    hostIp: vars.optional('HOST_IP', auto(hostAddress), 'auto' as const),
    modes: vars.optional('DISCOVERY_MODE', list(mode), ['multicast'] as SourceName[]),
    peerTimeoutMs: vars.optional('PEER_TIMEOUT', duration(2000, 86_400_000), 90_000),
    allowedSubnets: vars.optional('ALLOWED_SUBNETS', list(subnet), PRIVATE),
    allowStacks: vars.optional('ALLOW_STACKS', list(stackPattern), []),
    denyStacks: vars.optional('DENY_STACKS', list(stackPattern), []),
    trust: readTrust(vars),
    multicast: readMulticast(vars),
  };
  const sources = {
    etcd: config.modes.includes('etcd') ? readEtcd(vars) : undefined,
    dns: config.modes.includes('dns') ? readDns(vars) : undefined,
    gossip: config.modes.includes('gossip') ? readGossip(vars) : undefined,
  };
  if (config.peerTimeoutMs < 2 * config.multicast.announceIntervalMs) {
    vars.problem('PEER_TIMEOUT must be at least twice ANNOUNCE_INTERVAL, or one lost datagram removes a peer');
  }
  vars.finish();
  return { ...config, ...sources };
}
