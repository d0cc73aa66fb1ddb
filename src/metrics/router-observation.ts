/** The router's metrics: counts what its passes did, and listens on the stack's side. */
import { networkInterfaces } from 'node:os';
import type { RouterConfig } from '../config/router-config.ts';
import { contains, parseIpv4, parsePrefix } from '../net/ipv4.ts';
import type { Clock } from '../process/clock.ts';
import type { HealthFile } from '../process/health.ts';
import type { Logger } from '../process/log.ts';
import type { DiscoveryInput } from '../router/discovery-input.ts';
import type { Pass } from '../router/reconcile.ts';
import type { Problem } from '../state/router-file.ts';
import type { PeerStatus } from '../state/status-file.ts';
import { fileFamily, processFamilies, selfFamilies } from './common.ts';
import { exposition } from './exposition.ts';
import { Observation } from './observation.ts';
import { type RouterKnows, routerFamilies } from './router-families.ts';

const PREFIX = 'docker_router';
const FILES = ['discovery.json', 'router.json', 'status.json'];

export interface RouterParts {
  readonly config: Pick<RouterConfig, 'metricsPort' | 'stateDir'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: Pick<HealthFile, 'current'>;
  readonly input: () => DiscoveryInput | undefined;
  readonly measured: () => readonly PeerStatus[];
}

/** Whether an address is of one of the stack's own subnets. What comes out of vxlan0 never is: the kernel drops it there. */
export function ofSubnets(subnets: readonly string[], address: string): boolean {
  const number = parseIpv4(address);
  return number !== undefined && subnets.some((text) => contains(parsePrefix(text)!, number));
}

/** The router's addresses in its stack's network, the gateway's only where there is no other: the other stacks' routers speak to that one. */
function ownAddresses({ subnets, gatewayIp }: Pass): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address));
  const own = [...new Set(all)].filter((address) => ofSubnets(subnets, address)).sort();
  const others = own.filter((address) => address !== gatewayIp);
  return others.length > 0 ? others : own;
}

export class RouterObservation {
  readonly #parts: RouterParts;
  readonly #observation: Observation;
  readonly #passes = { ok: 0, failed: 0 };
  #changes = 0;
  #subnets: readonly string[] = [];
  #last: Pick<RouterKnows, 'routes' | 'problems' | 'lastPass'> = { routes: 0, problems: [], lastPass: undefined };

  constructor(parts: RouterParts) {
    this.#parts = parts;
    this.#observation = new Observation(parts.log);
  }

  /** After a pass that could observe and plan, whatever problems it found. */
  async passed(pass: Pass, problems: readonly Problem[], tookMs: number): Promise<void> {
    this.#passes.ok += 1;
    this.#changes += pass.changed;
    this.#last = { routes: pass.routed, problems, lastPass: { wallMs: this.#parts.clock.wall(), tookMs } };
    this.#subnets = pass.subnets;
    await this.#observation.serve({
      addresses: ownAddresses(pass),
      port: this.#parts.config.metricsPort === 'off' ? 'auto' : this.#parts.config.metricsPort,
      admits: (remote) => ofSubnets(this.#subnets, remote),
      answersTo: () => true,
      metrics: () => this.#text(),
      health: this.#parts.health,
    });
  }

  failed(): void {
    this.#passes.failed += 1;
  }

  stop(): void {
    this.#observation.stop();
  }

  async #text(): Promise<string> {
    const { input, measured, health, config } = this.#parts;
    const known = input();
    const knows = { ...this.#last, passes: this.#passes, changes: this.#changes, measured: measured() };
    const families = [
      ...selfFamilies(PREFIX, health.current.status),
      ...routerFamilies({ ...knows, peers: known?.known ?? known?.peers ?? [] }),
      await fileFamily(PREFIX, config.stateDir, FILES),
      ...processFamilies(),
    ];
    return exposition(families, known ? { stack: known.self.stack_id } : {});
  }
}
