/**
 * Whose turn it is to be renewed. Time is cut into halves of a key's lifetime, by the clock on the wall, so that all stacks agree without
 * asking each other: in every other half slot 0 rests and gets a new key somewhere in the middle, and slot 1 carries the traffic; in the
 * next one it is the other way round. So no two stacks renew opposite slots at once, and a key lives no longer than its lifetime. Pure.
 */
import { hash64 } from '../net/hash.ts';
import type { Slot } from './tunnel.ts';

/** With some peer reachable by the resting slot alone its renewal waits this long at most, or an eighth of the half. */
const PATIENCE_MS = 60_000;

const half = (lifetimeMs: number) => lifetimeMs / 2;
const parity = (n: number): Slot => (((n % 2) + 2) % 2) as Slot;

/** The slot that carries the traffic. @param wallMs milliseconds since 1970 */
export function activeSlot(wallMs: number, lifetimeMs: number): Slot {
  return parity(Math.floor(wallMs / half(lifetimeMs)) + 1);
}

/** Milliseconds from the beginning of each half to this stack's renewal: in its middle, and not the same for all stacks. */
export function renewalOffset(stackId: string, lifetimeMs: number): number {
  const share = Number(BigInt(`0x${hash64(stackId)}`) >> 32n) / 2 ** 32;
  return half(lifetimeMs) * (0.25 + share / 2);
}

/** Number of the renewal that was due last. A key made in a turn is not renewed in it. */
export function turnAt(wallMs: number, lifetimeMs: number, offsetMs: number): number {
  return Math.floor((wallMs - offsetMs) / half(lifetimeMs));
}

/** The slot whose key is due: it rests, and its key (by the turn in which each was made) is of an earlier turn. */
export function dueSlot(
  wallMs: number,
  lifetimeMs: number,
  offsetMs: number,
  madeIn: readonly [number, number],
): Slot | undefined {
  const turn = turnAt(wallMs, lifetimeMs, offsetMs);
  const slot = parity(turn);
  return slot !== activeSlot(wallMs, lifetimeMs) && madeIn[slot] !== turn ? slot : undefined;
}

/** Whether a due renewal has waited long enough for peers that are reachable by the resting slot alone. */
export function outOfPatience(wallMs: number, lifetimeMs: number, offsetMs: number): boolean {
  const since = wallMs - (turnAt(wallMs, lifetimeMs, offsetMs) * half(lifetimeMs) + offsetMs);
  return since >= Math.min(PATIENCE_MS, half(lifetimeMs) / 8);
}

/** Milliseconds until the slots change places or a key is due. */
export function untilChange(wallMs: number, lifetimeMs: number, offsetMs: number): number {
  const left = (from: number) => half(lifetimeMs) - ((wallMs - from) % half(lifetimeMs));
  return Math.min(left(0), left(offsetMs));
}
