/** MAC addresses that follow from what a stack is, so that they survive every restart and recreation. */
import { hash64 } from './hash.ts';
import { formatIpv4 } from './ipv4.ts';

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

/** Lower-case, colon separated, unicast and not all zeros (an all-zeros FDB entry means "flood to everyone"). */
export function isUnicastMac(text: string): boolean {
  return MAC.test(text) && (Number.parseInt(text.slice(0, 2), 16) & 1) === 0 && text !== '00:00:00:00:00:00';
}

const hex = (bytes: Iterable<number>) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');

/** MAC of a stack's VTEP: locally administered, 40 bits of a hash of its id. Two of 10,000 stacks collide with p = 0.00005. */
export function vtepMac(stackId: string): string {
  return `02:${hash64(`docker-router vtep ${stackId}`).slice(-10).match(/../g)!.join(':')}`;
}

/**
 * MAC of a stack's gateway address: services cache it, so a recreated router must answer with the same one.
 * Derived from the address because the router owns that before it knows its stack's id; unique on the bridge since the address is.
 */
export function gatewayMac(gateway: number): string {
  return `02:47:${hex(formatIpv4(gateway).split('.').map(Number))}`;
}
