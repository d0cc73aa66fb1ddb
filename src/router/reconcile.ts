/** One pass: observe, decide, apply. One that changed something is followed by another, which finds nothing left to do (daemon.ts). */
import type { RouterConfig } from '../config/router-config.ts';
import type { DesiredDevice, Underlay } from '../desired/device.ts';
import { VXLAN_OVERHEAD, VXLAN_PORT } from '../desired/device.ts';
import { desiredOverlay } from '../desired/overlay.ts';
import { desiredTables } from '../desired/ruleset.ts';
import { type StackFacts, type StackInterface, stackFacts } from '../desired/stack-facts.ts';
import { WIREGUARD_OVERHEAD } from '../desired/tunnel.ts';
import { applyPlan } from '../kernel/apply.ts';
import { observe } from '../kernel/observe.ts';
import type { Observed } from '../kernel/observed.ts';
import { ROUTE_PROTOCOL, SEAL_PROTOCOL, VXLAN_DEVICE, WG_DEVICES } from '../kernel/owned.ts';
import { formatPrefix } from '../net/ipv4.ts';
import { vtepMac } from '../net/mac.ts';
import { type Desired, EMPTY_PLAN, makePlan, planSize } from '../plan/plan.ts';
import { runOk } from '../process/run.ts';
import type { SelfEntry } from '../state/discovery-file.ts';
import type { Problem } from '../state/router-file.ts';
import { type Accepted, acceptPeers, type DiscoveryInput } from './discovery-input.ts';
import { becomeGateway, tellAddresses } from './gateway.ts';
import { ensureOffload, proxied } from './offload.ts';
import type { Tunnel, TunnelState } from './tunnel.ts';
import { ensureDevice } from './vxlan-device.ts';

/** What does not change while the process runs. */
export interface Surroundings {
  readonly underlay: Underlay;
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
}

/** What the others are told of the way into this stack. */
export interface Entrance {
  readonly mac: string;
  readonly mtu: number;
  /** UDP port of VXLAN. Inside WireGuard nothing listens there; every record has one. */
  readonly port: number;
  /** Its socket is in this container, behind a published port. */
  readonly published: boolean;
}

export interface Pass {
  /** vxlan0 as it now is, or WireGuard in its place; undefined until discovery has told whose it is. */
  readonly device: Entrance | undefined;
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
  const overhead = config.encryption === 'off' ? VXLAN_OVERHEAD : WIREGUARD_OVERHEAD;
  const underlayMtu = underlay === 'host' ? (self.underlay_mtu ?? 1500) : stackMtu;
  return {
    vni: self.vni,
    mac: vtepMac(self.stack_id),
    mtu: config.vxlanMtu === 'auto' ? underlayMtu - overhead : config.vxlanMtu,
    underlay,
    local: underlay === 'host' ? self.host_ip : undefined,
  };
}

/** What leads into the overlay, as far as the tables are concerned. */
function entrance({ observed, want }: Ground, { vxlanPort }: RouterConfig, wireguard: boolean): Entrance | undefined {
  const port = vxlanPort === 'auto' ? VXLAN_PORT : vxlanPort;
  if (wireguard) return want && { mac: want.mac, mtu: want.mtu, port, published: want.underlay === 'published' };
  const link = observed.links.find(({ name, vxlan }) => name === VXLAN_DEVICE && vxlan);
  return link && { mac: link.mac, mtu: link.mtu, port: link.vxlan!.port, published: !link.vxlan!.foreignUnderlay };
}

function desiredState(ground: Ground, input: DiscoveryInput | undefined, config: RouterConfig, around: Surroundings) {
  const { observed, served } = ground;
  const device = entrance(ground, config, around.tunnel !== undefined);
  const wireguard = around.tunnel && WG_DEVICES.filter((wg) => observed.links.some(({ name }) => name === wg));
  const subnets = served.map(({ prefix }) => formatPrefix(prefix));
  const accepted = input && acceptPeers(input, subnets, config.allowedSubnets);
  const overlay = desiredOverlay(accepted?.peers ?? [], wireguard ? 'wireguard' : 'vxlan');
  const ownAddresses = observed.addresses
    .filter(({ device: name }) => name !== VXLAN_DEVICE && name !== 'lo')
    .map(({ address }) => address);
  const tables = desiredTables({
    stack: served,
    ownAddresses: [...new Set(ownAddresses)].sort(),
    overlayMtu: device?.mtu,
    lengths: overlay.lengths,
    fast: around.fast,
    masquerade: around.masquerade && config.gateway !== 'off',
    vni: input?.self.vni,
    wireguard,
  });
  const vxlan = !wireguard && device !== undefined;
  const desired: Desired = { overlay, tables, device: vxlan, ownMtu: vxlan && around.fast ? device.mtu : undefined };
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

/**
 * Whether an earlier process of this container has programmed peers. Until discovery has spoken to this one they stay as they are: that its file
 * is late, damaged or gone says nothing of them.
 */
const leadsSomewhere = ({ overlay, netdev }: Observed) =>
  overlay.routes.size > 0 || [...netdev.elements.values()].some(({ size }) => size > 0);

/** A failing line is a problem of its own. */
const refusedLines = (failures: readonly string[]): Problem[] =>
  failures.slice(0, 5).map((message) => ({ code: 'kernel-refused', message }));

export function refusals(accepted: Accepted | undefined): Problem[] {
  return (accepted?.refused ?? []).slice(0, 10).map((message) => ({ code: 'peer-refused', message }));
}

/** What stands before a pass can compare tables: the gateway address, and the devices. */
interface Ground {
  readonly observed: Observed;
  readonly facts: StackFacts;
  readonly served: readonly StackInterface[];
  readonly want: DesiredDevice | undefined;
  readonly tunnel: TunnelState | undefined;
  readonly tookGateway: boolean;
}

/** vxlan0, or WireGuard's devices in its place. What was done is noted. */
async function ensureCarrier(
  want: DesiredDevice,
  { self }: DiscoveryInput,
  config: RouterConfig,
  { tunnel }: Surroundings,
  remembered: Remembered,
  observed: Observed,
  notes: string[],
): Promise<TunnelState | undefined> {
  const existing = observed.links.find(({ name }) => name === VXLAN_DEVICE);
  if (!tunnel) {
    const ports = { configured: config.vxlanPort, remembered: remembered.port, discoveryPort: config.discoveryPort };
    const { note } = await ensureDevice(want, existing, ports, config.handle);
    if (note) notes.push(note);
    return undefined;
  }
  if (existing) {
    await runOk(['ip', 'link', 'delete', 'dev', VXLAN_DEVICE]);
    notes.push(`removed ${VXLAN_DEVICE}: everything goes through WireGuard`);
  }
  const ensured = await tunnel.ensure(want.mtu, observed, self.stack_id);
  notes.push(...ensured.notes);
  return ensured.state;
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

async function prepare(
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
    if (changed) observed = await observe(observed);
  };
  await look(await sealed(config, facts, observed, input));
  const mayForward = config.encryption !== 'required' || input !== undefined;
  const tookGateway = mayForward && (await takeGateway(facts, observed, problems, notes));
  const served = problems.some(({ code }) => code === 'gateway-taken') ? [] : servedInterfaces(facts, config);
  if (!input || served.length === 0) {
    await look(tookGateway);
    return { observed, facts, served, want: undefined, tunnel: undefined, tookGateway };
  }
  const want = desiredDevice(input.self, config, around.underlay, Math.min(...served.map(({ mtu }) => mtu)));
  const before = notes.length;
  const tunnel = await ensureCarrier(want, input, config, around, remembered, observed, notes);
  // Once for both: on a fresh start nothing is forwarded before the last look.
  await look(tookGateway || notes.length > before);
  if (!around.tunnel && want.underlay === 'published') {
    const device = observed.links.find(({ name }) => name === VXLAN_DEVICE)?.vxlan;
    const set = await ensureOffload(device?.udp_csum === false && !proxied(input));
    if (set) notes.push(set);
  }
  return { observed, facts, served, want, tunnel, tookGateway };
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
  const there = await prepare(config, around, remembered, input, problems, notes);
  const { observed, facts, served, tunnel } = there;
  const { desired, device, subnets, accepted } = desiredState(there, input, config, around);
  const plan = input || !leadsSomewhere(observed) ? makePlan(desired, observed) : EMPTY_PLAN;
  const { tables, lengths } = desired.overlay;
  problems.push(...refusals(accepted), ...foreignRoutes(observed, tables.routes));
  const refused = refusedLines(await applyPlan(plan));
  // The checks of what comes in stand before there is anybody from whom it could come.
  if (tunnel) refused.push(...refusedLines(await around.tunnel!.program(accepted?.peers ?? [], observed)));
  problems.push(...refused);
  if (there.tookGateway) await tellAddresses(facts.gateway!, observed);
  const gatewayIp = facts.gateway?.address ?? served[0]?.address;
  const routed = tables.routes.size;
  const changed = planSize(plan);
  const unverified = changed > 0 && refused.length === 0;
  return { device, gatewayIp, tunnel, subnets, accepted, lengths, routed, problems, notes, changed, unverified };
}
