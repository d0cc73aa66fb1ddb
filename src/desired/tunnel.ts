/**
 * The encrypted path: packets go straight into WireGuard, whose allowed IPs are the peers' subnets. Each stack has two slots, a device with
 * a key and a port each; slot 0 speaks to the others' slot 0, slot 1 to their slot 1, and what comes in by either is accepted (docs/decisions/0025). Pure.
 */
import type { PeerEntry } from '../state/discovery-file.ts';
import { isRoutable } from './overlay.ts';

/** IPv4 20 + UDP 8 + WireGuard's header 16 and tag 16 (its paper, section 5.4.6). */
export const WIREGUARD_OVERHEAD = 60;

export type Encryption = 'off' | 'wireguard' | 'required';

export const SLOTS = [0, 1] as const;
export type Slot = (typeof SLOTS)[number];
export const otherSlot = (slot: Slot): Slot => (slot === 0 ? 1 : 0);

/** A value for each slot. */
export type PerSlot<T> = readonly [T, T];

export interface SlotKey {
  readonly publicKey: string;
  /** UDP port on the host at which WireGuard listens. */
  readonly port: number;
}

type Keys = Pick<PeerEntry, 'wg_public_key' | 'wg_port' | 'wg_slot' | 'wg_other_public_key' | 'wg_other_port'>;

const keyOf = (publicKey: string | undefined, port: number | undefined): SlotKey | undefined =>
  publicKey === undefined || port === undefined ? undefined : { publicKey, port };

/** The slot at which a stack wants to be reached. */
export const activeSlotOf = ({ wg_slot }: Keys): Slot => (wg_slot === 1 ? 1 : 0);

/** What a stack announces for each slot. */
export function slotKeys(peer: Keys): PerSlot<SlotKey | undefined> {
  const active = keyOf(peer.wg_public_key, peer.wg_port);
  const other = keyOf(peer.wg_other_public_key, peer.wg_other_port);
  return activeSlotOf(peer) === 1 ? [other, active] : [active, other];
}

/** What a stack announces of its own slots. */
export function announcedSlots(keys: PerSlot<SlotKey>, active: Slot): Keys {
  const other = keys[otherSlot(active)];
  return {
    wg_public_key: keys[active].publicKey,
    wg_port: keys[active].port,
    ...(active === 1 && { wg_slot: 1 }),
    wg_other_public_key: other.publicKey,
    wg_other_port: other.port,
  };
}

export interface Encryptable {
  readonly peers: readonly PeerEntry[];
  /** `stack-b: reason` of those that cannot be reached because one of the two sides encrypts and the other does not. */
  readonly refused: readonly string[];
}

const isKeyed = ({ wg_public_key, wg_port }: Keys) => keyOf(wg_public_key, wg_port) !== undefined;
const publicKeys = (peer: Keys) => slotKeys(peer).flatMap((key) => (key ? [key.publicKey] : []));

/** Only peers with whom this stack has one way to speak; the others are never programmed, so nothing of theirs goes out in clear. */
export function encryptable(peers: readonly PeerEntry[], mode: Encryption): Encryptable {
  const kept: PeerEntry[] = [];
  const refused: string[] = [];
  const owners = new Map<string, string>();
  for (const peer of peers) {
    const reason = peer.status === 'rejected' ? undefined : mode === 'off' ? keyWithout(peer) : noKey(peer, owners);
    if (reason === undefined) kept.push(peer);
    else refused.push(`${peer.stack_id}: ${reason}`);
    if (reason === undefined && peer.status !== 'rejected')
      for (const key of publicKeys(peer)) owners.set(key, peer.stack_id);
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
  // A device knows a key once: a stack that announces another's would take its subnets from it.
  const taken = publicKeys(peer).find((key) => owners.has(key));
  return taken === undefined
    ? undefined
    : `its WireGuard key is that of stack ${owners.get(taken)}; restart its router for a new key`;
}

export interface TunnelPeer {
  /** `ADDRESS:PORT` on the underlay. */
  readonly endpoint: string;
  /** Its subnets: only packets from there are taken from it, and what is for there is given to it. In order, as `allowedIps` prints them. */
  readonly allowedIps: string;
}

/** Allowed IPs in one order, whatever the one they came in. */
export const allowedIps = (subnets: readonly string[]) => [...subnets].sort().join(',');

/** WireGuard's peers on the device of a slot, by public key, in the order given. */
export function tunnelPeers(peers: readonly PeerEntry[], slot: Slot): Map<string, TunnelPeer> {
  const result = new Map<string, TunnelPeer>();
  for (const peer of peers.filter(isRoutable)) {
    const key = slotKeys(peer)[slot];
    if (key)
      result.set(key.publicKey, { endpoint: `${peer.host_ip}:${key.port}`, allowedIps: allowedIps(peer.subnets) });
  }
  return result;
}

/**
 * By which slot a peer is sent to: the one that it wants to be reached at, unless this stack is about to renew its own key there, or only
 * the other one works. `met`: whether there is a session at each.
 */
export function sendingSlot(peer: Keys, met: PerSlot<boolean>, avoided: Slot | undefined): Slot {
  const active = activeSlotOf(peer);
  const wanted = active === avoided && slotKeys(peer)[otherSlot(active)] ? otherSlot(active) : active;
  return met[wanted] || !met[otherSlot(wanted)] ? wanted : otherSlot(wanted);
}
