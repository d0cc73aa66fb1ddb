/** Stacks that are members of the group and yet not believed: shown as `rejected` with the reason. Is given the time (monotonic milliseconds). */
import { hash64 } from '../net/hash.ts';
import { type Flat, fromFlat } from '../record/flat.ts';
import type { StackRecord } from '../record/record.ts';
import type { Purpose } from './envelope.ts';

/** A member that invents identities must not fill the memory. */
const MAX_REFUSED = 64;

export interface Refused {
  readonly record: StackRecord;
  readonly source: string;
  readonly reason: string;
  readonly seenAt: number;
}

const sourceOf = (purpose: Purpose) => (['announce', 'query', 'goodbye'].includes(purpose) ? 'multicast' : purpose);

export class RefusedStacks {
  readonly #refused = new Map<string, Refused>();

  /** Returns whether it says something new. A message without a record is not kept. */
  note(purpose: Purpose, flat: Flat, fingerprint: string | undefined, reason: string, now: number): boolean {
    const parsed = fromFlat(flat);
    if (!parsed.ok) return false;
    // A row of its own beside the stack's that it pretends to be, whatever instance it gives.
    const instance = fingerprint?.slice(0, 16) ?? hash64(`refused ${parsed.value.instance}`);
    const record = { ...parsed.value, instance };
    const key = keyOf(record.stack_id, fingerprint);
    const before = this.#refused.get(key);
    if (!before && this.#refused.size >= MAX_REFUSED) return false;
    this.#refused.set(key, { record, source: sourceOf(purpose), reason, seenAt: now });
    return before?.reason !== reason;
  }

  /** It is believed now. Returns whether it was not. */
  clear(stackId: string, fingerprint: string | undefined): boolean {
    return this.#refused.delete(keyOf(stackId, fingerprint));
  }

  /** Those heard since `from`; the others are forgotten. In a stable order. */
  since(from: number): Refused[] {
    for (const [key, { seenAt }] of this.#refused) if (seenAt < from) this.#refused.delete(key);
    return [...this.#refused.keys()].sort().map((key) => this.#refused.get(key)!);
  }
}

const keyOf = (stackId: string, fingerprint: string | undefined) => `${stackId} ${fingerprint ?? ''}`;
