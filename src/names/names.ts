/**
 * `SERVICE.STACK.DOMAIN` for the services of this stack, on port 53 of the gateway address (DESIGN section 8): asks Docker for this stack's
 * names, the other stacks' routers for theirs, and the resolvers that the router has for everything else.
 */
import { readFile } from 'node:fs/promises';
import { BlockList } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { DnsServer } from '../config/dns-config.ts';
import type { Clock } from '../process/clock.ts';
import { DNS_PORT } from './ask.ts';
import { Directory, isInside, type View } from './directory.ts';
import { Outside, parseResolvConf } from './outside.ts';
import { resolve } from './resolver.ts';
import { DnsServerSockets } from './server.ts';

const RESOLV_CONF = '/etc/resolv.conf';
/** Docker's embedded name server, the same in every container. */
const DOCKER: DnsServer = { address: '127.0.0.11', port: DNS_PORT };

export interface Places {
  readonly resolvConf: string;
  readonly docker: DnsServer;
  /** The router's own addresses. */
  readonly addresses: () => string[];
  /** Networks of IPv6 that it is in, as `ADDRESS/LENGTH`, without those of single links. */
  readonly networks6: () => string[];
}

const addresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));

const networks6 = (): string[] =>
  Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).flatMap(({ family, internal, scopeid, cidr }) =>
      family === 'IPv6' && !internal && scopeid === 0 && cidr !== null ? [cidr] : [],
    ),
  );

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const [address, length] of networks.map((network) => network.split('/')))
    list.addSubnet(address!, Number(length), 'ipv6');
  return list;
}

function explained(cause: NodeJS.ErrnoException, address: string): Error {
  const remedy: Record<string, string> = {
    EACCES: 'add to the router service: sysctls: [net.ipv4.ip_unprivileged_port_start=0]',
    EADDRINUSE: 'another process in the router listens there',
  };
  const why = remedy[cause.code ?? ''] ?? cause.message;
  return new Error(
    `no names: cannot listen on ${address} port ${DNS_PORT} (${cause.code}): ${why}; NAMES=off does without`,
  );
}

const PLACES: Places = { resolvConf: RESOLV_CONF, docker: DOCKER, addresses, networks6 };

export class Names {
  readonly #domain: string;
  readonly #clock: Clock;
  readonly #places: Places;
  #directory: Directory | undefined;
  #outside = new Outside([]);
  #dockerAddress: string | undefined;
  #networks6 = new BlockList();
  #listening: { address: string; sockets: DnsServerSockets } | undefined;

  constructor(domain: string, clock: Clock, places: Places = PLACES) {
    this.#domain = domain;
    this.#clock = clock;
    this.#places = places;
  }

  /**
   * Takes what is true now, and listens where the gateway is. Returns whether it began to.
   * @throws Error with the line that mends it when it cannot listen; the next call tries again.
   */
  async update(view: View): Promise<boolean> {
    const own = this.#places.addresses();
    this.#directory = new Directory(view, own);
    this.#dockerAddress = own.find((address) => address !== view.self.gateway_ip && isInside(view.self, address));
    this.#networks6 = listOf(this.#places.networks6());
    const { gateway_ip: address } = view.self;
    if (this.#listening?.address === address) return false;
    this.stop();
    this.#outside = new Outside(parseResolvConf(await readFile(this.#places.resolvConf, 'utf8').catch(() => '')));
    const sockets = new DnsServerSockets({
      admits: (source) => this.#directory!.asker(source) !== undefined,
      answer: ({ bytes, source, transport }) => this.#answer({ bytes, source, transport }),
      now: () => this.#clock.monotonic(),
    });
    await sockets.listen(address).catch((cause: NodeJS.ErrnoException) => {
      throw explained(cause, address);
    });
    this.#listening = { address, sockets };
    return true;
  }

  stop(): void {
    this.#listening?.sockets.close();
    this.#listening = undefined;
  }

  async #answer(request: Parameters<typeof resolve>[2]): Promise<Buffer | undefined> {
    const directory = this.#directory!;
    const asker = directory.asker(request.source);
    const names = {
      domain: this.#domain,
      outside: this.#outside,
      docker: this.#places.docker,
      directory,
      dockerAddress: this.#dockerAddress,
      hasIpv6: (found: string) => this.#networks6.check(found, 'ipv6'),
    };
    // A defect in answering one question must not end the router.
    return asker && resolve(names, asker, request).catch(() => undefined);
  }
}
