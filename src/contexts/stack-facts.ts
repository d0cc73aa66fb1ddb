/** What the tools need to know of a stack, out of `docker compose config --format json`; problems of one stack and between stacks. Pure. */
import * as v from 'valibot';
import { overlaps, type Prefix, parseIpv4, parsePrefix } from '../net/ipv4.ts';

/** RFC 7348 section 8. */
export const VXLAN_PORT = 4789;
const README_HINT = 'see "Add it to your stack" in the README';
/** What Docker gives its containers as default route, instead of the bridge's own address. */
const GATEWAY_KEY = 'DefaultGatewayIPv4';

const Text = v.optional(v.nullable(v.string()));
const ServiceSchema = v.object({
  image: Text,
  environment: v.optional(v.record(v.string(), v.nullable(v.string())), {}),
  networks: v.optional(v.nullable(v.record(v.string(), v.unknown()))),
});
const PoolSchema = v.object({ subnet: Text, aux_addresses: v.optional(v.nullable(v.record(v.string(), v.string()))) });
const NetworkSchema = v.object({
  name: v.string(),
  ipam: v.optional(v.nullable(v.object({ config: v.optional(v.nullable(v.array(PoolSchema))) }))),
});
const ConfigSchema = v.object({
  services: v.optional(v.record(v.string(), ServiceSchema), {}),
  networks: v.optional(v.record(v.string(), v.nullable(NetworkSchema)), {}),
});
type Service = v.InferOutput<typeof ServiceSchema>;
type Network = v.InferOutput<typeof NetworkSchema>;

export interface StackFacts {
  readonly stackId: string;
  readonly vni: string;
  readonly subnets: readonly string[];
  /** Docker's name of the network whose gateway the router is. */
  readonly network: string;
  readonly routerService: string;
  readonly discoveryService: string;
  /** The address that the stack announces, where the compose file says it. */
  readonly hostIp: string | undefined;
  readonly vxlanPort: number;
  /** MTU that the router is told to use, where it is. */
  readonly vxlanMtu: number | undefined;
  /** The stack says itself that it does without the handle. */
  readonly published: boolean;
}

export type Facts =
  | { readonly ok: true; readonly facts: StackFacts }
  | { readonly ok: false; readonly problem: string; readonly remedy: string };

const no = (problem: string, remedy: string): Facts => ({ ok: false, problem, remedy });

/** The service that runs an image of ours, whatever it is called and from whichever registry it comes. */
function serviceOf(services: Readonly<Record<string, Service>>, image: string): [string, Service] | undefined {
  const ours = new RegExp(`(^|/)${image}(?:[:@]|$)`);
  return Object.entries(services).find(([, service]) => ours.test(service.image ?? ''));
}

const pools = (network: Network) => network.ipam?.config ?? [];

/** Of the router's networks the one whose gateway it is. */
function gatewayNetwork(router: Service, networks: Readonly<Record<string, Network | null>>): Network | undefined {
  const own = Object.keys(router.networks ?? { default: null }).flatMap((name) => networks[name] ?? []);
  return own.find((network) => pools(network).some((pool) => pool.aux_addresses?.[GATEWAY_KEY] !== undefined));
}

const set = (text: string | null | undefined) => (text ? text : undefined);
const whole = (text: string | null | undefined) => (/^\d{1,5}$/.test(text ?? '') ? Number(text) : undefined);

/** @param config what `docker compose config --format json` printed, parsed */
export function stackFacts(config: unknown): Facts {
  const parsed = v.safeParse(ConfigSchema, config);
  if (!parsed.success) return no('Compose describes it in a way this tool does not know', 'update Docker Compose');
  const { services, networks } = parsed.output;
  const discovery = serviceOf(services, 'docker-router-discovery');
  const router = serviceOf(services, 'docker-router');
  if (!discovery) return no('has no service with the image docker-router-discovery', README_HINT);
  if (!router) return no('has no service with the image docker-router', README_HINT);
  const network = gatewayNetwork(router[1], networks);
  if (!network) {
    return no(`none of the router's networks has aux_addresses: { ${GATEWAY_KEY}: ... }`, README_HINT);
  }
  const subnets = pools(network).flatMap(({ subnet }) => (subnet && parsePrefix(subnet) ? [subnet] : []));
  if (subnets.length === 0) return no(`its network ${network.name} has no subnet of its own`, README_HINT);
  const stackId = set(discovery[1].environment.STACK_ID);
  const vni = set(discovery[1].environment.VNI);
  if (!stackId || !vni) return no(`${discovery[0]} has no ${stackId ? 'VNI' : 'STACK_ID'}`, README_HINT);
  return {
    ok: true,
    facts: {
      stackId,
      vni,
      subnets,
      network: network.name,
      routerService: router[0],
      discoveryService: discovery[0],
      hostIp:
        parseIpv4(discovery[1].environment.HOST_IP ?? '') === undefined ? undefined : discovery[1].environment.HOST_IP!,
      vxlanPort: whole(router[1].environment.VXLAN_PORT) ?? VXLAN_PORT,
      vxlanMtu: whole(router[1].environment.VXLAN_MTU),
      published: router[1].environment.UNDERLAY === 'published',
    },
  };
}

export interface NamedFacts extends StackFacts {
  readonly context: string;
}

interface Conflict {
  readonly context: string;
  readonly problem: string;
  readonly remedy: string;
}

const prefixes = ({ subnets }: StackFacts): Prefix[] => subnets.flatMap((text) => parsePrefix(text) ?? []);

/** What keeps stacks from working together, each named once, at the later one. */
export function stackConflicts(stacks: readonly NamedFacts[]): Conflict[] {
  const found: Conflict[] = [];
  for (const [i, stack] of stacks.entries()) {
    for (const other of stacks.slice(0, i)) {
      const say = (problem: string, remedy: string) => found.push({ context: stack.context, problem, remedy });
      if (stack.stackId === other.stackId)
        say(`its STACK_ID ${stack.stackId} is that of ${other.context} too`, 'give every stack an id of its own');
      if (stack.vni !== other.vni)
        say(
          `its VNI is ${stack.vni}, that of ${other.context} is ${other.vni}`,
          'stacks with one VNI are connected: use the same',
        );
      if (prefixes(stack).some((a) => prefixes(other).some((b) => overlaps(a, b))))
        say(
          `its subnet ${stack.subnets.join(', ')} overlaps ${other.subnets.join(', ')} of ${other.context}`,
          'give every stack a subnet of its own',
        );
    }
  }
  return found;
}
