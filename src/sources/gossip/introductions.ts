/**
 * With whom a stack that has come or changed exchanges all that both know, a few times. Gossip passes news on to a few at random, may
 * miss one in fifty, and would mend that only every half a minute. And where the others have found this stack before it joined
 * anybody, only by joining it says that an earlier goodbye of its own is no longer true. Is given the time, in milliseconds.
 */
import type { Endpoint } from './members.ts';

/** Pauses between two of them. */
const PAUSES = [500, 1000, 2000, 4000, 8000] as const;

export class Introductions {
  #done = 0;
  #notBefore = 0;
  readonly #met = new Set<Endpoint>();

  /** There is news: begins anew. */
  begin(): void {
    this.#done = 0;
    this.#notBefore = 0;
    this.#met.clear();
  }

  /** The next one, whom it has not met yet; undefined while none is due. `random` gives a number from 0 to 1. */
  next(others: readonly Endpoint[], now: number, random: number): Endpoint | undefined {
    if (this.#done > PAUSES.length || now < this.#notBefore) return undefined;
    const unmet = others.filter((endpoint) => !this.#met.has(endpoint));
    return unmet[Math.floor(random * unmet.length)];
  }

  /** An exchange with `endpoint` took place, whatever it was for. */
  met(endpoint: Endpoint, now: number): void {
    this.#met.add(endpoint);
    this.#notBefore = now + PAUSES[Math.min(this.#done, PAUSES.length - 1)]!;
    this.#done += 1;
  }
}
