/** Addresses of the seeds. */
import { lookup } from 'node:dns/promises';
import { isIPv4 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GossipConfig } from '../../config/gossip-config.ts';
import { candidatePorts } from './ports.ts';
import { type ResolvedSeed, SEED_PORTS } from './rejoin.ts';

/** A name's addresses are asked for again after this. */
const FRESH_MS = 30_000;
/** A name server that is away must not keep this stack from those whose addresses it knows. */
const LOOKUP_MS = 2000;

export class SeedResolver {
  readonly #config: GossipConfig;
  readonly #known = new Map<string, { addresses: string[]; at: number }>();

  constructor(config: GossipConfig) {
    this.#config = config;
  }

  /** Never rejects: a name that does not resolve has its last known addresses, or none, and is asked for again the next time. */
  async seeds(): Promise<ResolvedSeed[]> {
    return Promise.all(
      this.#config.seeds.map(async ({ host, port }) => ({
        addresses: isIPv4(host) ? [host] : await this.#addresses(host),
        ports: port === undefined ? candidatePorts(this.#config.port, SEED_PORTS, undefined) : [port],
      })),
    );
  }

  async #addresses(host: string): Promise<string[]> {
    const known = this.#known.get(host);
    const now = performance.now();
    if (known && now - known.at < FRESH_MS) return known.addresses;
    const found = await Promise.race([
      lookup(host, { family: 4, all: true }).catch(() => undefined),
      sleep(LOOKUP_MS, undefined, { ref: false }),
    ]);
    const addresses = found?.map(({ address }) => address) ?? known?.addresses ?? [];
    if (found) this.#known.set(host, { addresses, at: now });
    return addresses;
  }
}
