/** The marks by which this project knows its own kernel objects. It touches no others. */

/** The overlay device; everything on it is ours. Override only in tests that need two in one namespace. */
export const VXLAN_DEVICE = 'vxlan0';
/** rtnetlink(7) route protocol of our routes: a free number above those of /etc/iproute2/rt_protos. */
export const ROUTE_PROTOCOL = 157;
/** Suffix of the label of a gateway address that we added. Labels must begin with the device's name (ip-address(8)). */
export const GATEWAY_LABEL = ':gw';
/** Name of our nft tables, in the families netdev and ip. */
export const NFT_TABLE = 'docker_router';
