/** Entry of the discovery image. */

import { type DiscoveryConfig, readDiscoveryConfig, type SourceName } from '../config/discovery-config.ts';
import { systemClock } from '../process/clock.ts';
import type { Logger } from '../process/log.ts';
import { runDaemon } from '../process/run-daemon.ts';
import { MulticastSource } from '../sources/multicast/multicast.ts';
import type { Source } from '../sources/source.ts';
import type { Envelope } from '../trust/envelope.ts';
import type { Trust } from '../trust/start.ts';
import { DiscoveryDaemon } from './daemon.ts';

const HELP = `docker-router-discovery: finds the other stacks and writes them to discovery.json

Usage: docker-router-discovery [run | trust list | trust forget STACK | --help | --version]

Required:
  STACK_ID            name of this stack, unique among all stacks (stack-a)
  VNI                 number of the network, the same in every stack that shall talk (1000)
Optional:
  DISCOVERY_MODE      multicast (default), gossip, etcd, dns; several separated by commas
  HOST_IP             address of this host for the others (source address of the default route)
  MULTICAST_GROUP     239.1.1.1
  MULTICAST_TTL       hops that announcements may take (1)
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
  ALLOW_STACKS, DENY_STACKS   stacks that may be peers, and that may not: ids, with * for any characters
  DISCOVERY_KEYS      keys that seal what is announced, of 32 bytes in base64; the first seals, all open
  IDENTITY_DIR        folder in a volume of its own: this stack signs, and knows the others again
  TRUSTED_PEERS       STACK=FINGERPRINT,...: nobody else is believed
  CLOCK_TOLERANCE     how far the hosts' clocks may differ (5m)
  METRICS_PORT        off (default), auto (9471, or the next free one), or a number: /metrics and /healthz on 127.0.0.1
  STATE_DIR           the shared volume (/var/lib/docker-router)
  HEALTH_FILE         read by the health check (/run/docker-router/health)
  LOG_LEVEL           debug, info (default), warning, error
  LOG_FORMAT          text (default), json
`;

/** Each source is loaded only where its mode is on: what a mode needs costs the others no memory. */
const LOADERS: Record<SourceName, (config: DiscoveryConfig, envelope: Envelope | undefined) => Promise<Source>> = {
  multicast: async (config, envelope) => new MulticastSource(config.multicast, config.peerTimeoutMs, envelope),
  etcd: async (config, envelope) => (await import('../sources/etcd/etcd.ts')).createSource(config, envelope),
  dns: async (config, envelope) => (await import('../sources/dns/dns.ts')).createSource(config, envelope),
  gossip: async (config, envelope) => (await import('../sources/gossip/gossip.ts')).createSource(config, envelope),
};

/** node:crypto costs more than a megabyte: it is loaded only where there are keys or an identity. */
async function openTrust({ stackId, trust: config }: DiscoveryConfig, log: Logger): Promise<Trust | undefined> {
  if (config) return (await import('../trust/start.ts')).Trust.open({ stackId, config, clock: systemClock, log });
  log.warn(
    'no DISCOVERY_KEYS: whoever reaches this network can read the announcements and announce a stack; set them in every stack (docs/security.md)',
  );
  return undefined;
}

async function run(): Promise<void> {
  await runDaemon({
    name: 'discovery',
    help: HELP,
    config: readDiscoveryConfig,
    create: async (config, log) => {
      const trust = await openTrust(config, log);
      const sources = await Promise.all(config.modes.map((mode) => LOADERS[mode](config, trust?.gate)));
      return new DiscoveryDaemon(config, sources, systemClock, log, trust);
    },
  });
}

if (process.argv[2] === 'trust')
  process.exitCode = await (await import('../trust/command.ts')).main(process.argv.slice(3));
else await run();
