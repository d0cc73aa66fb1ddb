/** `docker-router run`: the router daemon. */
import { readRouterConfig } from '../config/router-config.ts';
import { systemClock } from '../process/clock.ts';
import { runDaemon } from '../process/run-daemon.ts';
import { RouterDaemon } from '../router/daemon.ts';

const HELP = `docker-router run: forwards between this stack and the others

Usage: docker-router run [--help]

Everything it must know comes from discovery.json in the shared volume. Optional variables:
  UNDERLAY          auto (default), host, published
  VXLAN_PORT        auto (default: 4789, or the next free one), or a number
  VXLAN_MTU         auto (default: the underlay's less 50, less 60 encrypted), or a number
  GATEWAY           auto (default), off
  UPSTREAM_GATEWAY  auto (default: first address of the subnet), or the bridge's address
  ENCRYPTION        off (default), wireguard, required: traffic to the other stacks inside WireGuard
  WG_PORT           auto (default: 51820, or the next free one), or a number; the port after it is that of the second key
  WG_KEY_LIFETIME   how long a WireGuard key is used (24h)
  MASQUERADE        auto (default: when the host may filter bridged traffic), on, off
  ALLOWED_SUBNETS   subnets that peers may announce (the private ones)
  RESYNC_INTERVAL   how often the kernel is compared with what is wanted (60s)
  PROBE_INTERVAL    how often each of the other routers is asked whether it is there (10s)
  DISCOVERY_PORT    4790, never used for VXLAN
  NAMES             on (default): answers SERVICE.STACK.DOMAIN on port 53 of the gateway address; off
  NAMES_DOMAIN      its domain (internal)
  METRICS_PORT      off (default), auto (9471), or a number: /metrics and /healthz for the stack's own network
  UNDERLAY_HANDLE   where the host's network namespace is mounted (/run/netns/underlay)
  STATE_DIR         the shared volume (/var/lib/docker-router)
  HEALTH_FILE       read by the health check (/run/docker-router/health)
  LOG_LEVEL         debug, info (default), warning, error
  LOG_FORMAT        text (default), json
`;

export async function main(args: readonly string[]): Promise<undefined> {
  await runDaemon(
    {
      name: 'router',
      help: HELP,
      config: readRouterConfig,
      create: async (config, log) => new RouterDaemon(config, systemClock, log),
    },
    args,
  );
}
