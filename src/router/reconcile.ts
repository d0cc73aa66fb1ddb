/** One pass: observe, decide, apply. One that changed something is followed by another, which finds nothing left to do (daemon.ts). */
import type { RouterConfig } from '../config/router-config.ts';
import type { DesiredDevice, Underlay } from '../desired/device.ts';
import { VXLAN_OVERHEAD } from '../desired/device.ts';
import { desiredOverlay } from '../desired/overlay.ts';
import { desiredTables } from '../desired/ruleset.ts';
import { type StackFacts, type StackInterface, stackFacts } from '../desired/stack-facts.ts';
import { insideTunnel, WIREGUARD_OVERHEAD } from '../desired/tunnel.ts';
import { applyPlan } from '../kernel/apply.ts';
import { observe } from '../kernel/observe.ts';
import type { Link, Observed } from '../kernel/observed.ts';
import { ROUTE_PROTOCOL, SEAL_PROTOCOL, VXLAN_DEVICE, WG_DEVICES } from '../kernel/owned.ts';
import { formatPrefix } from '../net/ipv4.ts';
import { vtepMac } from '../net/mac.ts';
import { type Desired, makePlan, type Plan, planSize } from '../plan/plan.ts';
import type { SelfEntry } from '../state/discovery-file.ts';
import type { Problem } from '../state/router-file.ts';
import { type Accepted, acceptPeers, type DiscoveryInput } from './discovery-input.ts';
import { becomeGateway } from './gateway.ts';
import { ensureOffload, proxied } from './offload.ts';
import type { Tunnel, TunnelState } from './tunnel.ts';
import { ensureDevice } from './vxlan-device.ts';

/** What does not change while the process runs. */
export interface Surroundings {
  readonly underlay: Exclude<Underlay, 'wireguard'>;
  /** The kernel can forward from an ingress hook. */
  readonly fast: boolean;
  readonly masquerade: boolean;
  /** With ENCRYPTION=wireguard or required. */
  readonly tunnel?: Tunnel | undefined;
}

/** What the last router.json said: kept so that addresses and ports survive a restart. */
export interface Remembered {
  readonly port: number | undefined;
  readonly gateway: string | undefined;
  /** Public key of WireGuard. */
  readonly key?: string | undefined;
}

export interface Pass {
  /** vxlan0 as it now is; undefined until discovery has told whose it is. */
  readonly device: Link | undefined;
  readonly gatewayIp: string | undefined;
  readonly tunnel?: TunnelState | undefined;
  readonly subnets: readonly string[];
  /** undefined until there is a discovery.json. */
  readonly accepted: Accepted | undefined;
  /** Prefix lengths for which the kernel has sets and rules. */
  readonly lengths: readonly number[];
  /** Remote subnets that have a route. */
  readonly routed: number;
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
  readonly changed: number;
  /** Lines that went to the kernel without complaint; whether it did as it was told, the next look says. */
  readonly unverified: boolean;
}

/** Interfaces whose containers send through this router. */
export function servedInterfaces(facts: StackFacts, config: Pick<RouterConfig, 'gateway'>): readonly StackInterface[] {
  if (config.gateway === 'off') return facts.interfaces;
  return facts.interfaces.filter(({ name }) => name === facts.gateway?.device);
}

export function desiredDevice(
  self: SelfEntry,
  config: RouterConfig,
  underlay: Underlay,
  stackMtu: number,
): DesiredDevice {
  const encrypted = config.encryption === 'off' ? 0 : WIREGUARD_OVERHEAD;
  const underlayMtu = (underlay === 'host' ? (self.underlay_mtu ?? 1500) : stackMtu) - encrypted;
  return {
    vni: self.vni,
    mac: vtepMac(self.stack_id),
    mtu: config.vxlanMtu === 'auto' ? underlayMtu - VXLAN_OVERHEAD : config.vxlanMtu,
    underlay: encrypted ? 'wireguard' : underlay,
    local: !encrypted && underlay === 'host' ? self.host_ip : undefined,
  };
}

function desiredState(
  observed: Observed,
  served: readonly StackInterface[],
  input: DiscoveryInput | undefined,
  config: RouterConfig,
  around: Surroundings,
) {
  const device = observed.links.find(({ name, vxlan }) => name === VXLAN_DEVICE && vxlan);
  const subnets = served.map(({ prefix }) => formatPrefix(prefix));
  const accepted = input && acceptPeers(input, subnets, config.allowedSubnets);
  const peers = accepted?.peers ?? [];
  const overlay = desiredOverlay(around.tunnel ? insideTunnel(peers) : peers);
  const ownAddresses = observed.addresses
    .filter(({ device: name }) => name !== VXLAN_DEVICE && name !== 'lo' && !WG_DEVICES.some((wg) => wg === name))
    .map(({ address }) => address);
  const tables = desiredTables({
    stack: served,
    ownAddresses: [...new Set(ownAddresses)].sort(),
    overlayMtu: device?.mtu,
    lengths: overlay.lengths,
    fast: around.fast,
    masquerade: around.masquerade && config.gateway !== 'off',
    vni: input?.self.vni,
    sealedPort: around.tunnel ? device?.vxlan?.port : undefined,
  });
  const ownMtu = around.fast ? device?.mtu : undefined;
  const desired: Desired = { overlay, tables, device: device !== undefined, ownMtu };
  return { desired, device, subnets, accepted };
}

/** Routes to peers' subnets that somebody else made stand before ours. */
function foreignRoutes(observed: Observed, subnets: { has(subnet: string): boolean }): Problem[] {
  const foreign = observed.routes.filter(
    ({ destination, protocol }) =>
      protocol !== String(ROUTE_PROTOCOL) && protocol !== String(SEAL_PROTOCOL) && subnets.has(destination),
  );
  return foreign.slice(0, 5).map(({ destination, via, device }) => ({
    code: 'foreign-route',
    message:
      `the route ${destination} ${via ? `via ${via} ` : ''}dev ${device} in the router stands before the one to that peer, ` +
      `and this router did not make it; remove it: ip route del ${destination} dev ${device}`,
  }));
}

/** A failing line is a problem of its own. */
async function applied(plan: Plan): Promise<Problem[]> {
  const failures = await applyPlan(plan);
  return failures.slice(0, 5).map((message) => ({ code: 'kernel-refused', message }));
}

export function refusals(accepted: Accepted | undefined): Problem[] {
  return (accepted?.refused ?? []).slice(0, 10).map((message) => ({ code: 'peer-refused', message }));
}

/** What stands before a pass can compare tables: the gateway address, and the devices. */
interface Ground {
  readonly observed: Observed;
  readonly facts: StackFacts;
  readonly served: readonly StackInterface[];
  readonly tunnel: TunnelState | undefined;
}

async function takeGateway(
  facts: StackFacts,
  observed: Observed,
  problems: Problem[],
  notes: string[],
): Promise<boolean> {
  if (!facts.gateway) return false;
  const { changed, problem } = await becomeGateway(facts.gateway, observed);
  if (problem) problems.push(problem);
  const { address, device, upstream } = facts.gateway;
  if (changed) notes.push(`is the gateway ${address} of ${device}, itself by way of ${upstream}`);
  return changed;
}

/** With ENCRYPTION=required nothing is forwarded before it is known what must not leave in clear. */
async function sealed(
  config: RouterConfig,
  facts: StackFacts,
  observed: Observed,
  input: DiscoveryInput | undefined,
): Promise<boolean> {
  if (config.encryption !== 'required' || !input) return false;
  const { sealSubnets } = await import('./seal.ts');
  return sealSubnets(config, input.known ?? input.peers, facts.interfaces, observed);
}

async function ground(
  config: RouterConfig,
  around: Surroundings,
  remembered: Remembered,
  input: DiscoveryInput | undefined,
  problems: Problem[],
  notes: string[],
): Promise<Ground> {
  let observed = await observe();
  const policy = { gateway: config.gateway, upstreamGateway: config.upstreamGateway, remembered: remembered.gateway };
  const facts = stackFacts(observed, policy);
  problems.push(...facts.problems);
  const look = async (changed: boolean) => {
    if (changed) observed = await observe();
  };
  await look(await sealed(config, facts, observed, input));
  if (config.encryption !== 'required' || input) await look(await takeGateway(facts, observed, problems, notes));
  const served = problems.some(({ code }) => code === 'gateway-taken') ? [] : servedInterfaces(facts, config);
  if (!input || served.length === 0) return { observed, facts, served, tunnel: undefined };
  const want = desiredDevice(input.self, config, around.underlay, Math.min(...served.map(({ mtu }) => mtu)));
  const tunnel = await around.tunnel?.ensure(want.mtu + VXLAN_OVERHEAD, observed);
  notes.push(...(tunnel?.notes ?? []));
  const ports = { configured: config.vxlanPort, remembered: remembered.port, discoveryPort: config.discoveryPort };
  const existing = observed.links.find(({ name }) => name === VXLAN_DEVICE);
  const { changed, note } = await ensureDevice(want, existing, ports, config.handle);
  if (note) notes.push(note);
  await look(changed || (tunnel?.notes.length ?? 0) > 0);
  if (want.underlay === 'published') {
    const device = observed.links.find(({ name }) => name === VXLAN_DEVICE)?.vxlan;
    const set = await ensureOffload(device?.udp_csum === false && !proxied(input));
    if (set) notes.push(set);
  }
  return { observed, facts, served, tunnel: tunnel?.state };
}

/** @throws Error when the kernel cannot be observed, or refuses the gateway or a device. */
export async function reconcile(
  config: RouterConfig,
  around: Surroundings,
  remembered: Remembered,
  input: DiscoveryInput | undefined,
): Promise<Pass> {
  const notes: string[] = [];
  const problems: Problem[] = [];
  const { observed, facts, served, tunnel } = await ground(config, around, remembered, input, problems, notes);
  const { desired, device, subnets, accepted } = desiredState(observed, served, input, config, around);
  // Add before delete: WireGuard knows a peer before the overlay leads there, and forgets it after the overlay has.
  const forget = tunnel && (await around.tunnel?.program(accepted?.peers ?? [], observed));
  const plan = makePlan(desired, observed);
  const { tables, lengths } = desired.overlay;
  problems.push(...refusals(accepted), ...foreignRoutes(observed, tables.routes));
  const refused = await applied(plan);
  problems.push(...refused);
  await forget?.();
  const gatewayIp = facts.gateway?.address ?? served[0]?.address;
  const routed = tables.routes.size;
  const changed = planSize(plan);
  const unverified = changed > 0 && refused.length === 0;
  return { device, gatewayIp, tunnel, subnets, accepted, lengths, routed, problems, notes, changed, unverified };
}
