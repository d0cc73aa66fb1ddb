/** What etcd's store was when it was last heard, so that an absent key is not taken for a dead stack too soon. Pure but for what it remembers. */
export class Recollection {
  #clusterId: string | undefined;
  #revision = 0;
  #heardAt = Number.POSITIVE_INFINITY;
  #graceUntil = Number.NEGATIVE_INFINITY;

  /** The store answered, and has reached `revision`. Times are monotonic milliseconds. */
  heard(revision: number, now: number): void {
    this.#revision = Math.max(this.#revision, revision);
    this.#heardAt = now;
  }

  /**
   * The store is read anew. For one lease time the others may be on their way back to it:
   * - when it is another store than before, or an earlier state of it: begun anew, or restored from a backup;
   * - when it was away for half a lease. An etcd that hung (a virtual machine that was paused, a disk that stalled) ends every lease that ran
   *   out meanwhile as soon as it goes on, although nobody could renew; one that was restarted gives each its full time again.
   *   Half, since renewals come at a third: no lease ends by a hang shorter than that.
   */
  begin(clusterId: string, revision: number, now: number, ttlMs: number): void {
    const other = this.#clusterId !== undefined && (clusterId !== this.#clusterId || revision < this.#revision);
    if (other || now - this.#heardAt > ttlMs / 2) this.#graceUntil = now + ttlMs;
    this.#clusterId = clusterId;
    this.#revision = revision;
    this.#heardAt = now;
  }

  /** How much longer a stack whose key is not there may be on its way back, in milliseconds; 0 in ordinary times. */
  grace(now: number): number {
    return Math.max(0, this.#graceUntil - now);
  }
}
