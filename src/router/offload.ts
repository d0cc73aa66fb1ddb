/**
 * Transmit checksum offload of vxlan0 on the published underlay. With it a packet of 64 KB crosses both containers' bridges whole; without,
 * every segment by itself. Two things stand against it, each of which makes TCP hang while ping works:
 *
 * - Towards a stack of this host Docker's rules lead into its proxy in user space, which passes on inner checksums that nobody has filled in.
 * - The kernel's NAT takes any checksum that is still to be filled in for that of the header it changes, and spoils the outer UDP
 *   checksum of a tunnel's packet. RFC 7348 section 5 wants none there, and the device is made so; one that was made otherwise stays without.
 */
import { VXLAN_DEVICE } from '../kernel/owned.ts';
import { runOk } from '../process/run.ts';
import type { DiscoveryInput } from './discovery-input.ts';

/** Whether a proxy stands between this router and some peer's. */
export function proxied({ peers }: Pick<DiscoveryInput, 'peers'>): boolean {
  return peers.some(({ this_host, status }) => this_host && status !== 'rejected');
}

/** Returns what was done, if anything. @throws CommandError when the kernel refuses. */
export async function ensureOffload(on: boolean): Promise<string | undefined> {
  const features = await runOk(['ethtool', '-k', VXLAN_DEVICE]);
  if (/^tx-checksumming: on/m.test(features) === on) return undefined;
  await runOk(['ethtool', '-K', VXLAN_DEVICE, 'tx', on ? 'on' : 'off']);
  const why = on ? 'no stack of this host is among the peers' : 'packets to a stack of this host pass a proxy';
  return `transmit checksum offload of ${VXLAN_DEVICE} is ${on ? 'on' : 'off'}: ${why}`;
}
