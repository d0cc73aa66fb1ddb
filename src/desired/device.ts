/** The overlay device: what it shall be, and what an existing one lacks. Pure. */
import type { Link } from '../kernel/observed.ts';

/** Where the tunnel's own UDP socket is: in the host, or in this container. */
export type Underlay = 'host' | 'published';

/** RFC 7348 section 5: outer Ethernet 14 is not part of the IP MTU; IPv4 20 + UDP 8 + VXLAN 8 + inner Ethernet 14. */
export const VXLAN_OVERHEAD = 50;

/** RFC 7348 section 5, "Destination Port". */
export const VXLAN_PORT = 4789;

export interface DesiredDevice {
  readonly vni: number;
  readonly mac: string;
  readonly mtu: number;
  readonly underlay: Underlay;
  /** Outer source address; undefined on the published underlay, where the host translates it. */
  readonly local: string | undefined;
}

/** Why an existing device cannot be adjusted in place and must be made anew; undefined when it can. */
export function incompatible(link: Link, want: DesiredDevice, port: number | 'auto'): string | undefined {
  const have = link.vxlan;
  if (!have) return `${link.name} is not a VXLAN device`;
  if (have.vni !== want.vni) return `VNI is ${have.vni}, wanted ${want.vni}`;
  if (port !== 'auto' && have.port !== port) return `UDP port is ${have.port}, wanted ${port}`;
  if (have.local !== want.local) return `local address is ${have.local ?? 'any'}, wanted ${want.local ?? 'any'}`;
  if (have.foreignUnderlay !== (want.underlay === 'host'))
    return `underlay is ${have.foreignUnderlay ? 'host' : 'published'}, wanted ${want.underlay}`;
  if (have.learning) return 'it learns addresses from packets';
  return undefined;
}

/** Ports to try, in order: the remembered one first, then 4789 (RFC 7348) and the following, never discovery's. */
export function candidatePorts(
  configured: number | 'auto',
  remembered: number | undefined,
  discoveryPort: number,
): number[] {
  if (configured !== 'auto') return [configured];
  const usual = Array.from({ length: 64 }, (_, i) => VXLAN_PORT + i);
  return [...new Set([...(remembered === undefined ? [] : [remembered]), ...usual])].filter(
    (port) => port !== discoveryPort,
  );
}
