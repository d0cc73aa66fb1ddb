/** Discovery's metrics, on the host's loopback address. */
import type { DiscoveryConfig } from '../config/discovery-config.ts';
import { parseIpv4 } from '../net/ipv4.ts';
import type { HealthFile } from '../process/health.ts';
import type { Logger } from '../process/log.ts';
import { fileFamily, processFamilies, selfFamilies } from './common.ts';
import { type DiscoveryKnows, discoveryFamilies } from './discovery-families.ts';
import { exposition } from './exposition.ts';
import { Observation } from './observation.ts';

const PREFIX = 'docker_router_discovery';
const FILES = ['discovery.json', 'router.json'];
const LOOPBACK = '127.0.0.1';

export interface DiscoveryParts {
  readonly config: Pick<DiscoveryConfig, 'metricsPort' | 'stateDir' | 'stackId'>;
  readonly log: Logger;
  readonly health: Pick<HealthFile, 'current'>;
  readonly knows: () => DiscoveryKnows;
}

export class DiscoveryObservation {
  readonly #parts: DiscoveryParts;
  readonly #observation: Observation;

  constructor(parts: DiscoveryParts) {
    this.#parts = parts;
    this.#observation = new Observation(parts.log);
  }

  /** Listens where it does not yet. Never rejects. */
  async serve(): Promise<void> {
    const { metricsPort, stackId: stack } = this.#parts.config;
    await this.#observation.serve({
      addresses: [LOOPBACK],
      port: metricsPort === 'off' ? 'auto' : metricsPort,
      admits: () => true,
      answersTo: (name) => name === 'localhost' || parseIpv4(name) !== undefined,
      metrics: async () => exposition(await this.#families(), { stack }),
      health: this.#parts.health,
    });
  }

  stop(): void {
    this.#observation.stop();
  }

  async #families() {
    const { health, knows, config } = this.#parts;
    return [
      ...selfFamilies(PREFIX, health.current.status),
      ...discoveryFamilies(knows()),
      await fileFamily(PREFIX, config.stateDir, FILES),
      ...processFamilies(),
    ];
  }
}
