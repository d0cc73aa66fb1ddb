/**
 * A small world as data: hosts on one wire, stacks on the hosts, and the addresses that Docker would give them. Pure.
 * Two topologies with different prefixes share nothing, so they may use the same addresses.
 */
import { formatIpv4, parsePrefix } from '../net/ipv4.ts';

export type Environment = Readonly<Record<string, string | undefined>>;
export const ROLES = ['discovery', 'router'] as const;
export type Role = (typeof ROLES)[number];

export interface Stack {
  readonly name: string;
  /** One of the topology's hosts. */
  readonly host: string;
  readonly subnet: string;
  /** 1000 unless told otherwise. */
  readonly vni?: number;
  /** MTU of the stack's network: 1500 unless told otherwise. */
  readonly mtu?: number;
  /** Variables of this stack's daemons; they win over everything else. */
  readonly environment?: Partial<Readonly<Record<Role, Environment>>>;
}

export interface Topology {
  /** First part of every name on the machine: lower-case letters and digits, so that no prefix begins another. */
  readonly prefix: string;
  readonly hosts: readonly string[];
  readonly stacks: readonly Stack[];
  /** The wire between the hosts; 10.77.0.0/24 with MTU 1500 unless told otherwise. */
  readonly underlay?: { readonly subnet?: string; readonly mtu?: number };
  /** Variables of every daemon, such as LOG_LEVEL. */
  readonly environment?: Environment;
}

export const DEFAULT_VNI = 1000;
export const DEFAULT_MTU = 1500;
export const DEFAULT_PREFIX = 'drq';
const UNDERLAY_SUBNET = '10.77.0.0/24';
/** Last host address of a /24: where the hosts' own default route points. */
const UNDERLAY_GATEWAY = 254;

/** The main job: two stacks on one host, a third on another. The addresses are those of `examples/multi-stack`. */
export function quickstartTopology(prefix: string, environment: Environment = {}): Topology {
  const stacks = [
    { name: 'stack-a', host: 'host-1', subnet: '172.30.0.0/24' },
    { name: 'stack-b', host: 'host-2', subnet: '172.31.0.0/24' },
    { name: 'stack-c', host: 'host-1', subnet: '172.29.0.0/24' },
  ];
  return { prefix, hosts: ['host-1', 'host-2'], stacks, environment };
}

function nth(subnet: string, n: number): string {
  const prefix = parsePrefix(subnet);
  if (!prefix) throw new Error(`${subnet} is not a subnet`);
  return formatIpv4(prefix.base + n);
}

/** `ADDRESS/LENGTH` of the nth address of a subnet. */
export function inSubnet(subnet: string, address: string): string {
  return `${address}/${subnet.split('/')[1]}`;
}

export function underlaySubnet(topology: Topology): string {
  return topology.underlay?.subnet ?? UNDERLAY_SUBNET;
}

export function underlayGateway(topology: Topology): string {
  return nth(underlaySubnet(topology), UNDERLAY_GATEWAY);
}

/** Address of a host on the wire. */
export function hostAddress(topology: Topology, host: string): string {
  return nth(underlaySubnet(topology), topology.hosts.indexOf(host) + 1);
}

export interface StackAddresses {
  /** The host's bridge, as `gateway` in a compose file. */
  readonly bridge: string;
  /** What the containers have as their default gateway, as `DefaultGatewayIPv4` in a compose file. */
  readonly gateway: string;
  readonly router: string;
  readonly service: string;
}

export function stackAddresses({ subnet }: Pick<Stack, 'subnet'>): StackAddresses {
  return { bridge: nth(subnet, 1), gateway: nth(subnet, 2), router: nth(subnet, 3), service: nth(subnet, 4) };
}

export const switchNamespace = ({ prefix }: Topology) => `${prefix}-switch`;
export const hostNamespace = ({ prefix }: Topology, host: string) => `${prefix}-${host}`;
export const routerNamespace = ({ prefix }: Topology, stack: Pick<Stack, 'name'>) => `${prefix}-${stack.name}-router`;
export const serviceNamespace = ({ prefix }: Topology, stack: Pick<Stack, 'name'>) => `${prefix}-${stack.name}-service`;

export function namespaceNames(topology: Topology): string[] {
  return [
    switchNamespace(topology),
    ...topology.hosts.map((host) => hostNamespace(topology, host)),
    ...topology.stacks.flatMap((stack) => [routerNamespace(topology, stack), serviceNamespace(topology, stack)]),
  ];
}

/** Whether a namespace belongs to a prefix. Exact, since prefixes have no hyphen. */
export function belongsTo(prefix: string, namespace: string): boolean {
  return namespace.startsWith(`${prefix}-`);
}

/** @throws Error when `text` cannot be a prefix. */
export function checkedPrefix(text: string): string {
  if (/^[a-z][a-z0-9]{1,11}$/.test(text)) return text;
  throw new Error(`${JSON.stringify(text)} is no prefix: 2-12 lower-case letters and digits, the first a letter`);
}

/** @throws Error naming what cannot be built. */
export function checkTopology(topology: Topology): void {
  checkedPrefix(topology.prefix);
  const names = namespaceNames(topology);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice) throw new Error(`the name ${twice} is used twice`);
  for (const { name, host } of topology.stacks) {
    if (!topology.hosts.includes(host)) throw new Error(`stack ${name} is on ${host}, which is not among the hosts`);
  }
}

/** How many other stacks this one shall find: those of its VNI. */
export function expectedPeers({ stacks }: Topology, stack: Stack): number {
  return stacks.filter(({ vni = DEFAULT_VNI }) => vni === (stack.vni ?? DEFAULT_VNI)).length - 1;
}
