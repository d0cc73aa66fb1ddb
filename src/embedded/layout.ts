/** A topology -> the `ip -batch` input that builds it, namespace by namespace. Pure. */
import {
  DEFAULT_MTU,
  hostAddress,
  hostNamespace,
  inSubnet,
  routerNamespace,
  type Stack,
  serviceNamespace,
  stackAddresses,
  switchNamespace,
  type Topology,
  underlayGateway,
  underlaySubnet,
} from './topology.ts';

export interface Batch {
  readonly namespace: string;
  readonly lines: readonly string[];
}

/** Both ends of a veth pair have one MTU, as a cable has. */
function cable(near: string, far: string, farNamespace: string, mtu: number): string {
  return `link add ${near} mtu ${mtu} type veth peer name ${far} mtu ${mtu} netns ${farNamespace}`;
}

function switchBatch(topology: Topology): Batch {
  const gateway = inSubnet(underlaySubnet(topology), underlayGateway(topology));
  const lines = ['link set lo up', 'link add wire type bridge', `address add ${gateway} dev wire`, 'link set wire up'];
  return { namespace: switchNamespace(topology), lines };
}

/** A bridge of the host and the two containers on it, as `docker compose up` would leave them. */
function stackLines(topology: Topology, stack: Stack, number: number): string[] {
  const mtu = stack.mtu ?? DEFAULT_MTU;
  const bridge = `br${number}`;
  return [
    `link add ${bridge} type bridge`,
    `address add ${inSubnet(stack.subnet, stackAddresses(stack).bridge)} dev ${bridge}`,
    cable(`router${number}`, 'eth0', routerNamespace(topology, stack), mtu),
    cable(`service${number}`, 'eth0', serviceNamespace(topology, stack), mtu),
    `link set router${number} master ${bridge} up`,
    `link set service${number} master ${bridge} up`,
    `link set ${bridge} up`,
  ];
}

function hostBatch(topology: Topology, host: string): Batch {
  const port = `port${topology.hosts.indexOf(host) + 1}`;
  const address = inSubnet(underlaySubnet(topology), hostAddress(topology, host));
  const lines = [
    'link set lo up',
    cable('eth0', port, switchNamespace(topology), topology.underlay?.mtu ?? DEFAULT_MTU),
    `address add ${address} dev eth0`,
    'link set eth0 up',
    `route add default via ${underlayGateway(topology)}`,
    ...topology.stacks.flatMap((stack, index) => (stack.host === host ? stackLines(topology, stack, index + 1) : [])),
  ];
  return { namespace: hostNamespace(topology, host), lines };
}

function containerBatch(namespace: string, stack: Stack, address: string): Batch {
  const lines = [
    'link set lo up',
    `address add ${inSubnet(stack.subnet, address)} dev eth0`,
    'link set eth0 up',
    `route add default via ${stackAddresses(stack).gateway}`,
  ];
  return { namespace, lines };
}

/** In the order in which they have to run: a cable needs both namespaces, a port needs its cable. */
export function batches(topology: Topology): Batch[] {
  const ports = topology.hosts.map((_, index) => `link set port${index + 1} master wire up`);
  return [
    switchBatch(topology),
    ...topology.hosts.map((host) => hostBatch(topology, host)),
    { namespace: switchNamespace(topology), lines: ports },
    ...topology.stacks.flatMap((stack) => {
      const { router, service } = stackAddresses(stack);
      return [
        containerBatch(routerNamespace(topology, stack), stack, router),
        containerBatch(serviceNamespace(topology, stack), stack, service),
      ];
    }),
  ];
}

/** Where packets pass through: Docker switches forwarding on on its host, the compose file in the router. */
export function forwardingNamespaces(topology: Topology): string[] {
  return [
    ...topology.hosts.map((host) => hostNamespace(topology, host)),
    ...topology.stacks.map((stack) => routerNamespace(topology, stack)),
  ];
}
