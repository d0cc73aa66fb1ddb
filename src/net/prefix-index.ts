/** Finds an overlap among thousands of disjoint prefixes in logarithmic time, so that judging 10,000 peers stays linear. */
import type { Prefix } from './ipv4.ts';

const size = (prefix: Prefix) => 2 ** (32 - prefix.length);

/** A set of mutually disjoint prefixes, each with its owner. */
export class PrefixIndex<Owner> {
  /** By length, then by base: at most 33 look-ups decide whether a longer or equal prefix is covered. */
  readonly #byLength = new Map<number, Map<number, Owner>>();

  add(prefix: Prefix, owner: Owner): void {
    const bases = this.#byLength.get(prefix.length) ?? new Map<number, Owner>();
    this.#byLength.set(prefix.length, bases.set(prefix.base, owner));
  }

  remove(prefix: Prefix): void {
    this.#byLength.get(prefix.length)?.delete(prefix.base);
  }

  /** The owner and prefix that overlap `prefix`, if any. */
  overlapping(prefix: Prefix): { owner: Owner; prefix: Prefix } | undefined {
    for (const [length, bases] of this.#byLength) {
      if (length <= prefix.length) {
        const base = length === 0 ? 0 : (prefix.base & ((0xffffffff << (32 - length)) >>> 0)) >>> 0;
        const owner = bases.get(base);
        if (owner !== undefined) return { owner, prefix: { base, length } };
      } else {
        for (const base of this.#inside(prefix, bases, length))
          return { owner: bases.get(base)!, prefix: { base, length } };
      }
    }
    return undefined;
  }

  /** Bases of `length` inside the shorter `prefix`; steps or scans, whichever is the smaller work. */
  *#inside(prefix: Prefix, bases: Map<number, Owner>, length: number): Generator<number> {
    const step = 2 ** (32 - length);
    if (size(prefix) / step <= bases.size) {
      for (let base = prefix.base; base < prefix.base + size(prefix); base += step) if (bases.has(base)) yield base;
    } else {
      for (const base of bases.keys()) if (base >= prefix.base && base < prefix.base + size(prefix)) yield base;
    }
  }
}
