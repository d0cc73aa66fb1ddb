/** Which failures become the source's state, and in which words. Pure but for what it remembers. */
import type { EtcdTrouble, TroubleKind } from './trouble.ts';

/** What a member's restart or the election of a leader looks like; over within seconds, and not worth marking every peer stale. */
const TRANSIENT: ReadonlySet<TroubleKind> = new Set([
  'unreachable',
  'no leader',
  'busy',
  'watch',
  'token',
  'too large',
  'no lease',
]);
export const TRANSIENT_MS = 3000;
/** What the whole cluster says, whichever member was asked. */
const CLUSTER_WIDE: ReadonlySet<TroubleKind> = new Set(['login', 'permission', 'full']);

export class Outlook {
  readonly #endpoints: readonly string[];
  readonly #failures = new Map<string, EtcdTrouble>();
  #workedAt = Number.NEGATIVE_INFINITY;

  constructor(endpoints: readonly string[]) {
    this.#endpoints = endpoints;
  }

  worked(now: number): void {
    this.#failures.clear();
    this.#workedAt = now;
  }

  /** `endpoint` failed. Returns what the state should say; undefined when it is too early to say so. `now` is monotonic, in milliseconds. */
  failed(endpoint: string, trouble: EtcdTrouble, now: number): string | undefined {
    this.#failures.set(endpoint, trouble);
    if (CLUSTER_WIDE.has(trouble.kind)) return trouble.message;
    const troubles = [...this.#failures.values()];
    if (this.#failures.size < this.#endpoints.length) return undefined;
    if (troubles.every(({ kind }) => TRANSIENT.has(kind)) && now - this.#workedAt < TRANSIENT_MS) return undefined;
    const messages = new Set(troubles.map(({ message }) => message));
    if (messages.size === 1) return `${this.#endpoints.join(', ')}: ${troubles[0]!.message}`;
    return this.#endpoints.map((each) => `${each}: ${this.#failures.get(each)!.message}`).join('; ');
  }
}
