/** The UDP ports by which a stack is reached: the two of WireGuard where it encrypts, else the one of VXLAN. Pure. */
import type { RouterFile } from '../state/router-file.ts';

/** What router.json and a peer in discovery.json say of them. */
type Announced = Pick<RouterFile, 'vxlan_port' | 'wg_port' | 'wg_other_port' | 'encryption'>;

interface Sent {
  readonly host_ip: string;
  readonly vxlan_endpoint?: string;
  readonly udp_ports: readonly number[];
}

/** Ascending; none where the stack has no data plane yet. */
export function udpPorts({ vxlan_port, wg_port, wg_other_port, encryption }: Announced): number[] {
  // A VXLAN port is announced in any case; with encryption nothing listens there.
  const encrypts = encryption !== undefined || wg_port !== undefined;
  const ports = encrypts ? [wg_port, wg_other_port] : [vxlan_port];
  return ports.filter((port) => port !== undefined).sort((a, b) => a - b);
}

/** `UDP 51820 and 51821` */
export const portsInWords = (ports: readonly number[]): string => `UDP ${ports.join(' and ')}`;

/** `192.168.0.2:51820,51821`; what the peer's discovery says where it has no data plane yet. */
export const endpointInWords = (peer: Sent): string =>
  peer.udp_ports.length > 0 ? `${peer.host_ip}:${peer.udp_ports.join(',')}` : (peer.vxlan_endpoint ?? peer.host_ip);

/** What lets them in, as root of a host. What comes to a published port is forwarded into a container: it passes Docker's chain, not INPUT. */
export const openPorts = (ports: readonly number[], published: boolean): string =>
  `iptables -I ${published ? 'DOCKER-USER' : 'INPUT'} -p udp ${ports.length > 1 ? `-m multiport --dports ${ports.join(',')}` : `--dport ${ports[0]}`} -j ACCEPT`;
