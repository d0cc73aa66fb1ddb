/** How much input was dropped, by kind: what a flood of bad datagrams leaves in `discovery.json`. */

/** Kinds that are counted: more than there are. */
const MAX_KINDS = 100;

export interface Dropped {
  readonly count: number;
  /** Milliseconds since 1970 of the last one. */
  readonly at: number;
}

export class DroppedInput {
  readonly #kinds = new Map<string, Dropped>();

  get kinds(): ReadonlyMap<string, Dropped> {
    return this.#kinds;
  }

  /** Counts one of `kind`, dropped at `wallMs` (milliseconds since 1970). Returns whether it is the first of its kind. */
  count(kind: string, wallMs: number): boolean {
    const before = this.#kinds.get(kind);
    if (before !== undefined || this.#kinds.size < MAX_KINDS)
      this.#kinds.set(kind, { count: (before?.count ?? 0) + 1, at: wallMs });
    return before === undefined;
  }
}
