/** The user's project and what was found out -> what the override says. Pure. */
import {
  contains,
  firstHost,
  formatIpv4,
  formatPrefix,
  overlaps,
  type Prefix,
  parseIpv4,
  parsePrefix,
} from '../../net/ipv4.ts';
import type { StackRecord } from '../../record/record.ts';
import { type Choice, chooseNetwork, networkTroubles, unusable } from './choose-network.ts';
import { chooseSubnet, collision, describeTaken, gatewayAddress, type Taken } from './choose-subnet.ts';
import { attachments, fullName, type IpamEntry, type Network, type Project } from './model.ts';
import type { Options } from './options.ts';
import type { Override } from './override.ts';
import { InitProblem } from './problem.ts';

/** IPv4 and UDP and VXLAN and Ethernet headers (RFC 7348 section 5). */
const TUNNEL_BYTES = 50;
const DEFAULT_VNI = 1000;

export interface Found {
  /** Networks of this host, those of its engine, and what lies around its name servers. */
  readonly host: readonly Taken[];
  /** Subnets of other stacks. */
  readonly stacks: readonly Taken[];
  readonly heard: readonly StackRecord[];
  readonly hostAddress?: string;
  readonly mtu: number;
  /** Those of the host. */
  readonly nameServers: readonly string[];
  /** Subnet in the file that init wrote before. */
  readonly previous?: string;
}

export interface Decision {
  readonly override: Override;
  readonly choice: Choice;
  readonly stackId: string;
  readonly gateway: string;
  readonly notes: readonly string[];
}

/** A DNS label of the project's name, which may hold underscores and end in anything. */
export function stackIdOf(project: string): string {
  return project.replaceAll('_', '-').slice(0, 63).replace(/-+$/, '');
}

function network(project: Project, wanted: string | undefined): Choice {
  const choice = chooseNetwork(project, wanted);
  if (!choice && wanted !== undefined)
    throw new InitProblem(`no service is on a network ${wanted}; there are: ${networkTroubles(project).join('; ')}`);
  if (!choice) {
    const troubles = networkTroubles(project);
    throw new InitProblem(
      troubles.length === 0
        ? 'no service of this stack is on a network of its own (network_mode), so there is nothing to connect'
        : `no network of this stack can have the router as its gateway:\n${troubles.map((line) => `  ${line}`).join('\n')}`,
    );
  }
  const trouble = unusable(project.networks.get(choice.key) ?? { ipam: [] });
  if (trouble) throw new InitProblem(externalHelp(project, choice.key, trouble));
  return choice;
}

function externalHelp(project: Project, key: string, trouble: string): string {
  if (!project.networks.get(key)?.external)
    return `the network ${key} cannot have the router as its gateway: ${trouble}`;
  const name = fullName(project, key);
  return `the network ${key} is ${trouble}; whoever makes it has to give it the gateway, for example:
  docker network create --subnet 172.30.0.0/24 --gateway 172.30.0.1 --aux-address DefaultGatewayIPv4=172.30.0.2 ${name}`;
}

function ipv4Entry(networkOf: Network | undefined): IpamEntry | undefined {
  return networkOf?.ipam.find(({ subnet }) => subnet !== undefined && parsePrefix(subnet) !== undefined);
}

/** Whether the host's networks would be in the way. A route equal to the stack's subnet is the stack itself, which is running. */
const others = (taken: readonly Taken[], own: Prefix) =>
  taken.filter(({ prefix }) => prefix.base !== own.base || prefix.length !== own.length);

function checkedSubnet(text: string, whose: string, found: Found, notes: string[]): Prefix {
  const prefix = parsePrefix(text)!;
  const stack = collision(prefix, found.stacks);
  if (stack) throw new InitProblem(`${whose}: ${describeTaken(prefix, stack)}; choose another`);
  const host = collision(prefix, others(found.host, prefix));
  if (host) notes.push(`${whose}: ${describeTaken(prefix, host)}`);
  return prefix;
}

/** The one from before, as long as it is good: a running stack's network cannot be changed. */
function kept(found: Found): Prefix | undefined {
  const prefix = found.previous === undefined ? undefined : parsePrefix(found.previous);
  return prefix && !collision(prefix, [...found.stacks, ...others(found.host, prefix)]) ? prefix : undefined;
}

function subnetFor(
  stackId: string,
  own: IpamEntry | undefined,
  options: Options,
  found: Found,
  notes: string[],
): Prefix {
  if (own) {
    const prefix = checkedSubnet(own.subnet!, 'the subnet in your compose file', found, notes);
    if (options.subnet && !overlaps(prefix, parsePrefix(options.subnet)!))
      throw new InitProblem(`--subnet: your compose file says ${own.subnet} already`);
    return prefix;
  }
  if (options.subnet) return checkedSubnet(options.subnet, '--subnet', found, notes);
  const chosen = kept(found) ?? chooseSubnet(stackId, [...found.host, ...found.stacks]);
  if (!chosen) throw new InitProblem('every private subnet is taken on this host; name one with --subnet');
  return chosen;
}

/** The number that all stacks heard have in common. */
function vniFor(options: Options, found: Found, notes: string[]): number {
  if (options.vni !== undefined) return options.vni;
  const heard = [...new Set(found.heard.map(({ vni }) => vni))];
  if (heard.length > 1)
    notes.push(`stacks with several VNIs were heard (${heard.join(', ')}): --vni says which of them to join`);
  return heard.length === 1 ? heard[0]! : DEFAULT_VNI;
}

function checkId(stackId: string, found: Found): void {
  const twin = found.heard.find((record) => record.stack_id === stackId && record.host_ip !== found.hostAddress);
  if (!twin) return;
  throw new InitProblem(
    `a stack with the id ${stackId} is on ${twin.host_ip} already; if that is another one, give this one its own: --stack-id ${stackId.slice(0, 61)}-2`,
  );
}

function gatewayFor(prefix: Prefix, own: IpamEntry | undefined, project: Project, key: string): string {
  const given = own?.aux.DefaultGatewayIPv4;
  if (given !== undefined) return given;
  const statics = [...project.services.values()].flatMap((service) => attachments(service).get(key)?.ipv4 ?? []);
  const address = gatewayAddress(prefix, own ?? { aux: {} }, statics);
  if (address === undefined) throw new InitProblem(`${formatPrefix(prefix)} has no address left for the router`);
  return formatIpv4(address);
}

function checkGateway(own: IpamEntry | undefined, prefix: Prefix): void {
  const gateway = own?.gateway === undefined ? undefined : parseIpv4(own.gateway);
  if (own?.gateway !== undefined && (gateway === undefined || !contains(prefix, gateway)))
    throw new InitProblem(`your compose file's gateway ${own.gateway} is not in its subnet ${own.subnet}`);
}

/** The services that are connected and have no name servers of their own. */
function askers(project: Project, choice: Choice): string[] {
  return choice.members
    .filter(({ service, why }) => why === undefined && project.services.get(service)!.networkMode === undefined)
    .map(({ service }) => service)
    .filter((service) => project.services.get(service)!.dns.length === 0);
}

/** @throws InitProblem */
export function decide(project: Project, options: Options, found: Found): Decision {
  const notes: string[] = [];
  const choice = network(project, options.network);
  const stackId = options.stackId ?? stackIdOf(project.name);
  checkId(stackId, found);
  const chosen = project.networks.get(choice.key);
  const own = ipv4Entry(chosen);
  const prefix = subnetFor(stackId, own, options, found, notes);
  checkGateway(own, prefix);
  const gateway = gatewayFor(prefix, own, project, choice.key);
  if (options.dns && found.nameServers.length === 0)
    notes.push(
      'this host has no name server but itself, so the services ask the router alone; add a second one to dns: for the time when it is away',
    );
  const override: Override = {
    network: choice.key,
    subnet: own?.subnet ?? formatPrefix(prefix),
    ...(own?.gateway === undefined && { gateway: formatIpv4(firstHost(prefix)) }),
    ...(own?.aux.DefaultGatewayIPv4 === undefined && { router: gateway }),
    ...(chosen?.mtu === undefined && { mtu: options.mtu ?? found.mtu - TUNNEL_BYTES }),
    ...(stackId !== project.name && { stackId }),
    vni: vniFor(options, found, notes),
    ...(options.dns && {
      dns: { services: askers(project, choice), servers: [gateway, ...found.nameServers.slice(0, 1)] },
    }),
    services: new Set(project.services.keys()),
    volumes: project.volumes,
  };
  return { override, choice, stackId, gateway, notes };
}
