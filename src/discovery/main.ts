/** Entry of the discovery image. */

import { type DiscoveryConfig, readDiscoveryConfig, type SourceName } from '../config/discovery-config.ts';
import { systemClock } from '../process/clock.ts';
import { runDaemon } from '../process/run-daemon.ts';
import { MulticastSource } from '../sources/multicast/multicast.ts';
import type { Source } from '../sources/source.ts';
import { DiscoveryDaemon } from './daemon.ts';

const HELP = `docker-router-discovery: finds the other stacks and writes them to discovery.json

Usage: docker-router-discovery [run | --help | --version]

Required:
  STACK_ID            name of this stack, unique among all stacks (stack-a)
  VNI                 number of the network, the same in every stack that shall talk (1000)
Optional:
  DISCOVERY_MODE      multicast (default), gossip, etcd, dns; several separated by commas
  HOST_IP             address of this host for the others (source address of the default route)
  MULTICAST_GROUP     239.1.1.1
  DISCOVERY_PORT      4790
  ANNOUNCE_INTERVAL   30s
  PEER_TIMEOUT        90s
  GOSSIP_SEEDS, GOSSIP_PORT, GOSSIP_ENCRYPT_KEY, GOSSIP_PROFILE             for gossip
  ETCD_ENDPOINTS, ETCD_PREFIX, ETCD_LEASE_TTL, ETCD_USERNAME, ETCD_PASSWORD,
  ETCD_CA_FILE, ETCD_CERT_FILE, ETCD_KEY_FILE                               for etcd
  DNS_DOMAIN, DNS_SERVERS, DNS_UPDATE_SERVER, DNS_TSIG_NAME,
  DNS_TSIG_SECRET, DNS_TSIG_ALGORITHM, DNS_INTERVAL, DNS_TTL                for dns
                      every secret NAME can come from a file: NAME_FILE
  ALLOWED_SUBNETS     subnets that peers may announce (the private ones)
  LOG_LEVEL           debug, info (default), warning, error
  LOG_FORMAT          text (default), json
`;

/** Each source is loaded only where its mode is on: what a mode needs costs the others no memory. */
const LOADERS: Record<SourceName, (config: DiscoveryConfig) => Promise<Source>> = {
  multicast: async (config) => new MulticastSource(config.multicast, config.peerTimeoutMs),
  etcd: async (config) => (await import('../sources/etcd/etcd.ts')).createSource(config),
  dns: async (config) => (await import('../sources/dns/dns.ts')).createSource(config),
  gossip: async (config) => (await import('../sources/gossip/gossip.ts')).createSource(config),
};

await runDaemon({
  name: 'discovery',
  help: HELP,
  config: readDiscoveryConfig,
  create: async (config, log) => {
    const sources = await Promise.all(config.modes.map((mode) => LOADERS[mode](config)));
    return new DiscoveryDaemon(config, sources, systemClock, log);
  },
});
