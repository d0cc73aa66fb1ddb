/**
 * The encrypted path: VXLAN inside WireGuard. Who is reached at which address inside it, and by which device. Pure.
 *
 * The addresses inside follow from the keys, out of 240.0.0.0/4 (RFC 1112 section 4, "reserved"): Linux routes it, no network uses it, so
 * no overlay range exists that could collide. 28 bits: two of 1,000 keys collide with p = 0.002, and then one of the two stacks is named.
 */
import { hash64 } from '../net/hash.ts';
import { formatIpv4 } from '../net/ipv4.ts';
import type { PeerEntry } from '../state/discovery-file.ts';

/** IPv4 20 + UDP 8 + WireGuard's header 16 and tag 16 (its paper, section 5.4.6). */
export const WIREGUARD_OVERHEAD = 60;
/** All addresses inside. */
export const INNER_RANGE = '240.0.0.0/4';

export type Encryption = 'off' | 'wireguard' | 'required';

/** Address of a key's owner inside WireGuard. The first byte stays below 255: 255.255.255.255 is a broadcast address. */
export function innerAddress(publicKey: string): string {
  const hash = BigInt(`0x${hash64(`docker-router wireguard ${publicKey}`)}`);
  const first = 240 + Number(hash % 15n);
  return formatIpv4(first * 0x1000000 + Number((hash >> 8n) % 0xfffffen) + 1);
}

export type KeyedPeer = PeerEntry & { readonly wg_public_key: string; readonly wg_port: number };

export interface Encryptable {
  readonly peers: readonly PeerEntry[];
  /** `stack-b: reason` of those that cannot be reached because one of the two sides encrypts and the other does not. */
  readonly refused: readonly string[];
}

const isKeyed = (peer: PeerEntry): peer is KeyedPeer => peer.wg_public_key !== undefined && peer.wg_port !== undefined;

/** Only peers with whom this stack has one way to speak; the others are never programmed, so nothing of theirs goes out in clear. */
export function encryptable(peers: readonly PeerEntry[], mode: Encryption): Encryptable {
  const kept: PeerEntry[] = [];
  const refused: string[] = [];
  const owners = new Map<string, string>();
  for (const peer of peers) {
    const reason = peer.status === 'rejected' ? undefined : mode === 'off' ? keyWithout(peer) : noKey(peer, owners);
    if (reason === undefined) kept.push(peer);
    else refused.push(`${peer.stack_id}: ${reason}`);
    if (reason === undefined && isKeyed(peer)) owners.set(innerAddress(peer.wg_public_key), peer.stack_id);
  }
  return { peers: kept, refused };
}

function keyWithout(peer: PeerEntry): string | undefined {
  if (!isKeyed(peer)) return undefined;
  return 'it encrypts its traffic and this stack does not; set ENCRYPTION=wireguard on the router service of this stack';
}

function noKey(peer: PeerEntry, owners: ReadonlyMap<string, string>): string | undefined {
  // Without subnets there is no router there yet, and nothing to be said about it.
  if (!isKeyed(peer))
    return peer.subnets.length === 0
      ? undefined
      : 'it has no WireGuard key, so nothing is sent to it; set ENCRYPTION=wireguard on the router service of that stack';
  const owner = owners.get(innerAddress(peer.wg_public_key));
  return owner === undefined
    ? undefined
    : `its WireGuard key has the same inner address as that of stack ${owner}; restart its router for a new key`;
}

/** Peers as the overlay sees them: their VTEPs are inside WireGuard. */
export function insideTunnel(peers: readonly PeerEntry[]): PeerEntry[] {
  return peers.filter(isKeyed).map((peer) => ({ ...peer, host_ip: innerAddress(peer.wg_public_key) }));
}

export interface TunnelPeer {
  /** `ADDRESS:PORT` on the underlay. */
  readonly endpoint: string;
  readonly inner: string;
}

/** WireGuard's peers by public key, in the order given. */
export function tunnelPeers(peers: readonly PeerEntry[]): Map<string, TunnelPeer> {
  return new Map(
    peers
      .filter(isKeyed)
      .map(({ wg_public_key, wg_port, host_ip }) => [
        wg_public_key,
        { endpoint: `${host_ip}:${wg_port}`, inner: innerAddress(wg_public_key) },
      ]),
  );
}
