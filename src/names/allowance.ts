/** How many questions a client may ask: a bucket for each address that refills, so that one service cannot use up the router. Pure. */
const PER_SECOND = 1000;
const BURST = 2000;
/** Addresses remembered; a whole /20 of services. */
const MAX_CLIENTS = 4096;

export class Allowance {
  readonly #clients = new Map<string, { left: number; at: number }>();

  /** Whether `client` may ask one more. @param nowMs monotonic, in milliseconds. */
  takes(client: string, nowMs: number): boolean {
    const last = this.#clients.get(client);
    const left = last ? Math.min(BURST, last.left + ((nowMs - last.at) * PER_SECOND) / 1000) : BURST;
    if (!last && this.#clients.size >= MAX_CLIENTS) this.#clients.clear();
    const allowed = left >= 1;
    this.#clients.set(client, { left: allowed ? left - 1 : left, at: nowMs });
    return allowed;
  }
}
