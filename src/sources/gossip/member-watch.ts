/** Looks at an agent's members when something hints at a change, and every so often without a hint. */
import type { RpcConnection } from './rpc.ts';
import { MembersSchema } from './rpc-codec.ts';

/** A hint comes a moment before Serf's list shows the change, and seldom alone. */
const SETTLE_MS = 20;
/** An agent that does not tell its members for so long hangs. */
const ANSWER_MS = 10_000;

/** Pause after a look that took `tookMs`: looking takes a tenth of the time, but on a busy machine a few members are looked at all the same. */
export function restAfterLook(tookMs: number, members: number): number {
  return Math.min(10 * tookMs, 5000, 100 + 5 * members);
}

/** Until the next look without any hint, which is only for hints that never came: the more members, the more a look costs. */
export function pollAfterLook(members: number): number {
  return Math.min(2000 + 40 * members, 30_000);
}

export class MemberWatch {
  readonly #rpc: RpcConnection;
  readonly #onMembers: (members: readonly unknown[]) => void;
  readonly #onFailure: (cause: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #due = Number.POSITIVE_INFINITY;
  #notBefore = 0;
  #looking = false;
  #closed = false;

  /** Begins with a look at once. `onFailure` is called once, when the connection is of no more use. */
  constructor(rpc: RpcConnection, onMembers: (members: readonly unknown[]) => void, onFailure: (cause: Error) => void) {
    this.#rpc = rpc;
    this.#onMembers = onMembers;
    this.#onFailure = onFailure;
    this.#schedule(0);
  }

  hint(): void {
    this.#schedule(SETTLE_MS);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number): void {
    const now = performance.now();
    const due = Math.max(now + delayMs, this.#notBefore);
    if (this.#closed || due >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    // While a look is under way its end sets the timer.
    if (!this.#looking) this.#timer = setTimeout(() => void this.#look(), due - now);
  }

  async #look(): Promise<void> {
    this.#looking = true;
    this.#due = Number.POSITIVE_INFINITY;
    const begin = performance.now();
    let count = 0;
    try {
      const { Members } = await this.#rpc.ask('members', undefined, MembersSchema, ANSWER_MS);
      count = Members?.length ?? 0;
      if (!this.#closed) this.#onMembers(Members ?? []);
    } catch (cause) {
      if (!this.#closed) this.#onFailure(cause as Error);
      this.close();
    }
    this.#looking = false;
    const end = performance.now();
    this.#notBefore = end + restAfterLook(end - begin, count);
    const hinted = this.#due;
    this.#due = Number.POSITIVE_INFINITY;
    this.#schedule(Math.min(pollAfterLook(count), hinted - end));
  }
}
