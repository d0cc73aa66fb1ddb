/** The one interface between a transport and the peer table. The table knows nothing of transports, a transport nothing of peers. */

import type { Gone, Lifetime } from '../peers/table.ts';
import type { StackRecord } from '../record/record.ts';

export type SourceEvent =
  /** A stack was seen. Without a lifetime it stays until `remove` or a `snapshot` without it. */
  | { readonly type: 'upsert'; readonly record: StackRecord; readonly lifetime?: Lifetime }
  /**
   * A stack said goodbye or its entry was deleted; boot and seq, where known, order it against what was seen. With `fadeMs` it stays that much
   * longer, stale: what looks like an end may be the transport's own trouble.
   */
  | { readonly type: 'remove'; readonly gone: Gone; readonly fadeMs?: number }
  /** All that there is; also says that the source is reachable. `fadeMs` as above, for who is not among them. */
  | {
      readonly type: 'snapshot';
      readonly records: readonly StackRecord[];
      readonly lifetime?: Lifetime;
      readonly fadeMs?: number;
    }
  /**
   * Whether the source works. While it does not, what it saw is stale but stays; unless it is `seeing`: the others are seen as ever, and only
   * this stack's own record cannot be made known. `message` says what is wrong and what mends it.
   */
  | { readonly type: 'state'; readonly ok: true; readonly message?: string }
  | { readonly type: 'state'; readonly ok: false; readonly message: string; readonly seeing?: true }
  /**
   * For `forMs` up to now input was lost before it was read: that nothing was heard of a stack in this time says nothing. `message` says how much.
   */
  | { readonly type: 'deaf'; readonly forMs: number; readonly message: string }
  /** Input that was dropped: rate-limited into the log. `kind` is one of a few fixed words. */
  | { readonly type: 'dropped'; readonly kind: string; readonly message: string };

/** Whether the stack goes along with its discovery, or goes on without it. */
export type Parting = 'goodbye' | 'quietly';

export interface Source {
  readonly name: string;
  /** Begins. Trouble with the network or a server is reported by events and retried; it never throws for that. */
  start(emit: (event: SourceEvent) => void): void;
  /** Makes this stack's record known, now and until the next call. Called before or after `start`, also when nothing changed. */
  publish(record: StackRecord): void;
  /**
   * Releases everything, and withdraws the record, so that the others know at once; `quietly` the record stays until its time is over. Takes
   * well under a second.
   */
  stop(how?: Parting): Promise<void>;
}
