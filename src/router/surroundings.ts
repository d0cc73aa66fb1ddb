/** Finds out once, at start, what this container and kernel offer. */
import type { RouterConfig } from '../config/router-config.ts';
import type { Logger } from '../process/log.ts';
import { run } from '../process/run.ts';
import { bridgeFilterLoaded } from './preflight.ts';
import type { Surroundings } from './reconcile.ts';
import { ensureNamespaceId, handlePresent } from './vxlan-device.ts';

/** `nft --check` goes through the kernel, so it tells whether nft_fwd_netdev is there, and loads it where it is a module. */
const FWD_PROBE = `table netdev docker_router_probe {
  chain probe { type filter hook ingress device "lo" priority filter; fwd to "lo"; }
}
`;

async function canForwardAtIngress(): Promise<boolean> {
  return (await run(['nft', '--check', '-f', '-'], FWD_PROBE)).code === 0;
}

const HANDLE_LINE = (handle: string) => `volumes: ["/proc/1/ns/net:${handle}:ro"]`;

/** Whether the handle is there; then a device can be linked to it. */
async function reachHandle(handle: string): Promise<boolean> {
  const present = await handlePresent(handle);
  if (present) await ensureNamespaceId(handle);
  return present;
}

export async function surroundings(config: RouterConfig, log: Logger): Promise<Surroundings> {
  const [fast, filtered, handle] = await Promise.all([
    canForwardAtIngress(),
    bridgeFilterLoaded(),
    reachHandle(config.handle),
  ]);
  const underlay = config.underlay === 'auto' ? (handle ? 'host' : 'published') : config.underlay;
  if (!fast)
    log.warn(
      'the kernel has no nft_fwd_netdev: packets take the slower ordinary path, and two stacks on one host may not reach each other',
    );
  if (underlay === 'published' && config.encryption === 'off') {
    const why = handle ? 'UNDERLAY=published' : `the host's network namespace is not mounted at ${config.handle}`;
    log.warn(
      `using the published underlay (${why}): publish the VXLAN port on this service, ports: ["4789:4789/udp"]. ` +
        `About three times as fast: add to the router service ${HANDLE_LINE(config.handle)}`,
    );
  }
  const masquerade = config.masquerade === 'auto' ? filtered : config.masquerade === 'on';
  log.info(
    `underlay ${underlay}, ${fast ? 'ingress forwarding' : 'ordinary forwarding'}, masquerading ${masquerade ? 'on' : 'off'}`,
  );
  return { underlay, fast, masquerade };
}

/** What to say when a device cannot be created, with the line that mends it. */
export function explainDeviceError(message: string, config: RouterConfig): string {
  if (/Invalid "link-netns"|Cannot open network namespace|No such file or directory/.test(message)) {
    return `no handle of the host's network namespace at ${config.handle}; add to the router service: ${HANDLE_LINE(config.handle)} (${message})`;
  }
  if (/Unknown device type|not supported/i.test(message))
    return `the kernel has no VXLAN; on the host run: modprobe vxlan (${message})`;
  if (/not permitted/.test(message)) {
    return `the kernel refuses NET_ADMIN in the host's network namespace (user-namespace remapping?); set UNDERLAY=published and ports: ["4789:4789/udp"] (${message})`;
  }
  return message;
}

/** What the tunnel runs on, and what a published one needs. */
export function encryptionNote(
  { encryption, wgPort }: RouterConfig,
  { engine, underlay }: { readonly engine: string; readonly underlay: string },
): string {
  const first = wgPort === 'auto' ? 51_820 : wgPort;
  const what = engine === 'kernel' ? 'WireGuard of the kernel' : 'wireguard-go, since the kernel has no WireGuard';
  const how =
    underlay === 'host'
      ? 'its socket in the host'
      : `its socket in this container: the router service needs ports: ["${first}-${first + 1}:${first}-${first + 1}/udp"]`;
  return `encryption ${encryption}: ${what}, ${how}`;
}
