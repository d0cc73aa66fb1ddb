/** The marks by which this project knows its own kernel objects. It touches no others. */

/** The overlay device; everything on it is ours. Override only in tests that need two in one namespace. */
export const VXLAN_DEVICE = 'vxlan0';
/** WireGuard's devices, one for each slot: one carries the traffic while the key of the other is renewed. */
export const WG_DEVICES = ['wg0', 'wg1'] as const;
/** Protocol of the routes that refuse what must not leave in clear. */
export const SEAL_PROTOCOL = 158;
/** rtnetlink(7) route protocol of our routes: a free number above those of /etc/iproute2/rt_protos. */
export const ROUTE_PROTOCOL = 157;
/** Suffix of the label of a gateway address that we added. Labels must begin with the device's name (ip-address(8)). */
export const GATEWAY_LABEL = ':gw';
/** The router's own packets leave by the first, come in again by the second, and are forwarded from there like a service's. */
export const OWN_DEVICES = { out: 'self0', back: 'self1' } as const;
/** Mark, routing table and rule priority of the router's own packets into the overlay; the mark never leaves the namespace. */
export const OWN_PATH = 157;
/** Name of our nft tables, in the families netdev and ip. */
export const NFT_TABLE = 'docker_router';
