/**
 * From one discovery.json to the next without listing the kernel: what a full pass has verified is taken for what is there, and only the
 * difference is applied. A line that fails, and the clock, bring the next full pass, so the kernel stays the truth (docs/decisions/0006).
 */
import type { RouterConfig } from '../config/router-config.ts';
import { desiredOverlay, isRoutable } from '../desired/overlay.ts';
import { applyPlan } from '../kernel/apply.ts';
import { overlayPlan, type Plan, planSize } from '../plan/plan.ts';
import type { PeerEntry } from '../state/discovery-file.ts';
import {
  type Accepted,
  acceptChanges,
  acceptPeers,
  type DiscoveryInput,
  difference,
  selfPart,
} from './discovery-input.ts';
import { proxied } from './offload.ts';
import { type Pass, refusals } from './reconcile.ts';

/** More changes than this are worth the listing that a full pass ends with. */
const MAX_STEP = 2000;

/** A pass whose result a step may build on, and what it was made from. */
export interface Settled {
  readonly pass: Pass;
  readonly accepted: Accepted;
  readonly self: string;
}

/** undefined when the pass left something open: then the next one must look at the kernel. */
export function settled(pass: Pass, input: DiscoveryInput | undefined): Settled | undefined {
  const open = pass.unverified || pass.problems.some(({ code }) => code !== 'peer-refused');
  const { device, accepted } = pass;
  return open || !device || !accepted || !input ? undefined : { pass, accepted, self: selfPart(input) };
}

const endpointOf = ({ host_ip, vxlan_port }: PeerEntry) => `${host_ip}:${vxlan_port}`;

/** Peers of `after` that stay and have a flood entry in common with one that goes. */
function sharing(lost: readonly PeerEntry[], gained: ReadonlySet<PeerEntry>, after: readonly PeerEntry[]): PeerEntry[] {
  if (lost.length === 0) return [];
  const hosts = new Set(lost.map(({ host_ip }) => host_ip));
  const endpoints = new Set(lost.map(endpointOf));
  // The host first: it is there, and an endpoint has to be put together for each of thousands.
  return after.filter((peer) => hosts.has(peer.host_ip) && endpoints.has(endpointOf(peer)) && !gained.has(peer));
}

/** The lines between two sets of peers. Only peers that differ are looked at, and those that share a flood entry with one that goes. */
function changePlan(
  before: readonly PeerEntry[],
  after: readonly PeerEntry[],
): { plan: Plan; lengths: readonly number[] } {
  const { lost, gained } = difference(before, after);
  const shared = sharing(lost, new Set(gained), after);
  const want = desiredOverlay([...gained, ...shared]);
  return { plan: overlayPlan(want, desiredOverlay([...lost, ...shared])), lengths: want.lengths };
}

const subnetsOf = (peers: readonly PeerEntry[]) =>
  peers.reduce((sum, peer) => sum + (isRoutable(peer) ? peer.subnets.length : 0), 0);

/** What has to be done is left to a full pass (undefined) when more than peers changed, when it is much, or when the kernel refused a line. */
export async function step(
  config: Pick<RouterConfig, 'allowedSubnets'>,
  { pass, accepted: before, self }: Settled,
  input: DiscoveryInput,
): Promise<Pass | undefined> {
  if (selfPart(input) !== self) return undefined;
  // Only on the published underlay does it matter who is on this host.
  if (pass.device?.published && proxied(input) !== proxied(before)) return undefined;
  const accepted = acceptChanges(before, input) ?? acceptPeers(input, pass.subnets, config.allowedSubnets);
  const { plan, lengths } = changePlan(before.peers, accepted.peers);
  const changed = planSize(plan);
  // A new prefix length means new sets and rules. One that is no longer used stays until the next full pass.
  if (changed > MAX_STEP || lengths.some((length) => !pass.lengths.includes(length))) return undefined;
  if ((await applyPlan(plan)).length > 0) return undefined;
  return { ...pass, accepted, routed: subnetsOf(accepted.peers), problems: refusals(accepted), notes: [], changed };
}
