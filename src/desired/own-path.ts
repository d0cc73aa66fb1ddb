/**
 * The way of the router's own packets into the overlay. Handed to `vxlan0` directly, they carry this namespace's routing decision and
 * conntrack entry, and on one host the kernel passes both to the other router, which drops them. A veth pair takes both off: what goes out
 * of one end comes in at the other like a service's packet and is forwarded from its ingress hook (docs/decisions/0002). Pure.
 */
import type { Observed } from '../kernel/observed.ts';
import { OWN_DEVICES, OWN_PATH, ROUTE_PROTOCOL } from '../kernel/owned.ts';

const { out, back } = OWN_DEVICES;

/**
 * `ip -batch` lines that are still missing. The MTU is that of `vxlan0`, so that the kernel makes segments and fragments that fit before
 * `fwd`, which does not look. By a mark and a table instead of the routes themselves: the reverse path check (rp_filter=1) of what comes
 * in by `vxlan0` looks up unmarked.
 */
export function ownPathPlan(mtu: number, { links, own }: Observed): string[] {
  const [first, second] = [out, back].map((wanted) => links.find(({ name }) => name === wanted));
  const pair = first && second;
  const fits = pair && first.mtu === mtu && first.noarp && first.up && second.up;
  return [
    // Nobody answers ARP behind it: without it the kernel fills in any MAC.
    ...(pair ? [] : [`link add ${out} mtu ${mtu} arp off type veth peer name ${back}`]),
    ...(fits ? [] : [`link set ${out} mtu ${mtu} arp off up`, `link set ${back} up`]),
    ...(fits && own.route ? [] : [`route replace default dev ${out} table ${OWN_PATH} proto ${ROUTE_PROTOCOL}`]),
    ...(own.rule ? [] : [`rule add fwmark ${OWN_PATH} lookup ${OWN_PATH} pref ${OWN_PATH} protocol ${ROUTE_PROTOCOL}`]),
  ];
}
