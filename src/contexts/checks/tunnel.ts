/** Checks of what a host's kernel and engine must let the router do: the agent in place of the router. */
import * as v from 'valibot';
import { parseJson } from '../../record/record.ts';
import { AgentLink } from '../agent-link.ts';
import { TUNNEL_OVERHEAD } from '../agent-protocol.ts';
import type { Host } from '../host.ts';
import type { HostFacts } from '../host-facts.ts';
import { runProgram } from '../programs.ts';
import { failed, noted, passed, skipped, type Verdict } from '../verdict.ts';

const FACTS_MS = 30_000;
/** How many ports after the first are tried, as the router does. 4790 is Discovery's. */
const PORTS = 8;
const DISCOVERY_PORT = 4790;
const HANDLE = ['--volume', '/proc/1/ns/net:/run/netns/underlay:ro'];
const PRIVILEGE = ['--interactive', '--network', 'none', '--user', '0', '--cap-add', 'NET_ADMIN'];

export interface Programs {
  readonly agent: string;
  readonly hostFacts: string;
  readonly image: string;
}

const MAX_FACTS_BYTES = 4096;
const HostFactsSchema = v.object({
  address: v.exactOptional(v.pipe(v.string(), v.ipv4())),
  interface: v.exactOptional(v.pipe(v.string(), v.maxLength(15))),
  // RFC 791: 68 bytes is the least.
  mtu: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(68), v.maxValue(65_536))),
});

/** The host's address for the others, as Discovery will see it. @throws CommandFailed, HostLost, Error */
export async function hostFacts(host: Host, programs: Programs, hostIp: string | undefined): Promise<HostFacts> {
  const options = ['--network', 'host', '--user', '65534'];
  const argv = runProgram(programs.image, programs.hostFacts, options, hostIp ? [hostIp] : []);
  const facts = parseJson(HostFactsSchema, await host.docker(argv, { withinMs: FACTS_MS }), MAX_FACTS_BYTES);
  if (!facts.ok) throw new Error(`what the host says of itself makes no sense: ${facts.error}`);
  return facts.value;
}

/** Judges what `hostFacts` saw. Pure. */
export function addressVerdict(name: string, facts: HostFacts, hostIp: string | undefined): Verdict {
  if (!facts.address) {
    return failed(
      name,
      'address',
      'the host has no default route, so it does not know its address',
      'set HOST_IP for this stack',
    );
  }
  const how = hostIp ? 'from HOST_IP' : 'source address of its default route';
  if (facts.interface)
    return passed(name, 'address', `${facts.address} on ${facts.interface}, MTU ${facts.mtu}, ${how}`);
  return noted(name, 'address', `${facts.address} is on no interface of the host: the others have to reach it by NAT`);
}

/** The ports a router would try, in its order. Pure. */
export function candidatePorts(first: number): number[] {
  return Array.from({ length: PORTS }, (_, i) => first + i).filter((port) => port !== DISCOVERY_PORT && port <= 65_535);
}

export function startAgent(host: Host, programs: Programs, handle: boolean): Promise<AgentLink> {
  const argv = runProgram(programs.image, programs.agent, [...PRIVILEGE, ...(handle ? HANDLE : [])], []);
  return AgentLink.start(host.argv(argv), host.environment, host.signal);
}

const NO_VXLAN = /Unknown device type|Operation not supported|Protocol not supported/;
const TAKEN = /File exists|already exists|Address already in use/;
const VXLAN_REMEDY =
  'sudo modprobe vxlan; where there is no such module: the package linux-modules-extra-$(uname -r), or another kernel';
const HANDLE_REMEDY =
  'UNDERLAY=published for its router, with ports: ["4789:4789/udp"] (slower; rootless engines need it)';

/** Words for an engine that would not start the containers in which the host is looked at. Pure. */
export function hostVerdict(name: string, said: string): Verdict {
  if (/user namespaces are enabled/.test(said)) {
    const detail = 'the engine maps user ids (userns-remap), and keeps what it maps out of the host’s network';
    return failed(
      name,
      'handle',
      detail,
      'take "userns-remap" out of /etc/docker/daemon.json: stacks do not run with it yet',
    );
  }
  return failed(name, 'host', said, `docker --context ${name} run --rm --network host docker-router --help says more`);
}

export interface Tunnel {
  readonly agent?: AgentLink;
  /** UDP port of the device; undefined where there is none. */
  readonly port?: number;
  readonly verdicts: readonly Verdict[];
}

/** Words for the kernel's answer to a VXLAN device with its socket in the host. Pure. */
export function deviceVerdicts(name: string, first: number, result: { port?: number; error?: string }): Verdict[] {
  const { port, error = '' } = result;
  if (port !== undefined) {
    const vxlan = passed(
      name,
      'VXLAN',
      port === first ? `UDP port ${port}` : `UDP port ${port}, since ${first} is taken`,
    );
    return [vxlan, passed(name, 'handle', 'the tunnel’s socket can be in the host')];
  }
  if (NO_VXLAN.test(error)) return [failed(name, 'VXLAN', `the kernel has none (${error})`, VXLAN_REMEDY)];
  if (TAKEN.test(error)) {
    const remedy = `sudo ss -lunp shows who has UDP ${first} on the host; or choose VXLAN_PORT`;
    return [failed(name, 'VXLAN', 'no UDP port is free for it', remedy)];
  }
  return [failed(name, 'handle', error, HANDLE_REMEDY)];
}

export interface TunnelOptions {
  readonly vni: number;
  readonly index: number;
  readonly firstPort: number;
  readonly facts: HostFacts;
  /** The stack says itself that it does without the handle. */
  readonly published: boolean;
}

/** Starts the agent and has it make its device. */
export async function checkTunnel(host: Host, programs: Programs, options: TunnelOptions): Promise<Tunnel> {
  const { vni, index, firstPort, facts, published } = options;
  const { name } = host;
  const device = (handle: boolean) =>
    ({
      ask: 'device',
      handle,
      vni,
      ports: candidatePorts(firstPort),
      local: facts.address ?? '127.0.0.1',
      index,
      mtu: (facts.mtu ?? 1500) - TUNNEL_OVERHEAD,
    }) as const;
  let verdicts: Verdict[] = [skipped(name, 'handle', 'the stack uses UNDERLAY=published')];
  if (!published) {
    let agent: AgentLink | undefined;
    try {
      agent = await startAgent(host, programs, true);
      const result = await agent.ask(device(true));
      verdicts = deviceVerdicts(name, firstPort, result);
      if (result.port !== undefined) return { agent, port: result.port, verdicts };
    } catch (cause) {
      host.signal.throwIfAborted();
      verdicts = [failed(name, 'handle', (cause as Error).message, HANDLE_REMEDY)];
    }
    agent?.close();
  }
  return withoutHandle(host, programs, device(false), verdicts);
}

/** The kernel can still be judged, and the clock. */
async function withoutHandle(
  host: Host,
  programs: Programs,
  request: Parameters<AgentLink['ask']>[0],
  verdicts: readonly Verdict[],
): Promise<Tunnel> {
  const agent = await startAgent(host, programs, false);
  const { error } = await agent.ask(request);
  const known = verdicts.some(({ check }) => check === 'VXLAN');
  if (known) return { agent, verdicts };
  const vxlan = error
    ? failed(host.name, 'VXLAN', `the kernel has none (${error})`, VXLAN_REMEDY)
    : passed(host.name, 'VXLAN');
  return { agent, verdicts: [vxlan, ...verdicts] };
}
