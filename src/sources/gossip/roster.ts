/** The stacks as the peer table was last told them. Is given the time; milliseconds of a monotonic clock. */
import type { SourceEvent } from '../source.ts';
import { differences, FADE_MS, merged, type Stack, type StackKey, type View } from './members.ts';

/** An agent that starts again has met its old peers by then, or they are gone. */
const SETTLE_MS = 10_000;
/** After it has met one of them, it learns of the others by then. */
const LEARN_MS = 1500;
/** All that there is, once in a while: the table then knows that the peers were seen just now. */
const SNAPSHOT_MS = 10_000;

export class Roster {
  #known: ReadonlyMap<StackKey, Stack> = new Map();
  #settlesAt = 0;
  /** The agent is not the first of this process. */
  #again = false;
  #snapshotAt = 0;

  get size(): number {
    return this.#known.size;
  }

  /**
   * A new agent starts: it knows nobody yet, which does not mean that nobody is there. `remembered`: an earlier process has left stacks to be
   * found again, which the table knows.
   */
  begin(now: number, remembered: boolean): void {
    this.#again = this.#known.size > 0;
    this.#settlesAt = !this.#again && !remembered ? now : now + SETTLE_MS;
  }

  /** Whether the agent's state says something: one that took another's place has first to meet the peers that it had. */
  telling(now: number): boolean {
    return !this.#again || this.settled(now);
  }

  /** Whether the agent's list can be taken for all that there is. */
  settled(now: number): boolean {
    return now >= this.#settlesAt;
  }

  /** What the table must be told after a look. */
  update(view: View, now: number): SourceEvent[] {
    if (view.stacks.size > 0) this.#settlesAt = Math.min(this.#settlesAt, now + LEARN_MS);
    const before = this.#known;
    if (!this.settled(now)) {
      this.#known = merged(before, view);
      return differences(before, this.#known, view.left);
    }
    this.#known = view.stacks;
    const changes = differences(before, this.#known, view.left);
    if (now < this.#snapshotAt) return changes;
    this.#snapshotAt = now + SNAPSHOT_MS;
    const goodbyes = changes.filter((event) => event.type === 'remove' && event.fadeMs === undefined);
    const records = [...view.stacks.values()].map(({ record }) => record);
    return [...goodbyes, { type: 'snapshot', records, fadeMs: FADE_MS }];
  }
}
