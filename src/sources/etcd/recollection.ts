/** How far etcd's store was when it was last read, so that a store which went back is noticed. Pure but for what it remembers. */
export class Recollection {
  #clusterId: string | undefined;
  #revision = 0;
  #graceUntil: number | undefined;

  /** The store has reached `revision`. */
  note(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
  }

  /**
   * Whether this store is another one than before, or an earlier state of it: restored from a backup, or begun anew. True for one lease time
   * after that was first seen, since until then the stacks may not have come back to it. Times are monotonic milliseconds.
   */
  isSetBack(clusterId: string, revision: number, now: number, ttlMs: number): boolean {
    const other = this.#clusterId !== undefined && (clusterId !== this.#clusterId || revision < this.#revision);
    if (other) this.#graceUntil = now + ttlMs;
    this.#clusterId = clusterId;
    this.#revision = revision;
    return this.#graceUntil !== undefined && now < this.#graceUntil;
  }

  /** Whether the time has come to read such a store for good. Says so once. */
  graceOver(now: number): boolean {
    if (this.#graceUntil === undefined || now < this.#graceUntil) return false;
    this.#graceUntil = undefined;
    return true;
  }
}
