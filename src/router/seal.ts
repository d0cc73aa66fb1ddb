/** ENCRYPTION=required: what is meant for a stack never leaves by the default route, whatever becomes of that stack. Loaded only then. */
import type { RouterConfig } from '../config/router-config.ts';
import type { StackInterface } from '../desired/stack-facts.ts';
import type { Observed } from '../kernel/observed.ts';
import { SEAL_PROTOCOL } from '../kernel/owned.ts';
import { covers, overlaps, parsePrefix } from '../net/ipv4.ts';
import { sealPlan } from '../plan/tunnel-plan.ts';
import { run } from '../process/run.ts';
import type { PeerEntry } from '../state/discovery-file.ts';

/** As many subnets as 1,250 stacks may announce. A seal is never taken off, so it must end somewhere. */
const MAX_SEALED = 20_000;

/** Subnets of every stack that was ever announced, the refused ones too, but nothing that is this stack's own or not allowed at all. */
export function sealable(
  peers: readonly PeerEntry[],
  allowedSubnets: readonly string[],
  own: readonly StackInterface[],
): string[] {
  const allowed = allowedSubnets.flatMap((text) => parsePrefix(text) ?? []);
  const subnets = peers.flatMap((peer) => peer.subnets);
  return subnets.filter((text) => {
    const prefix = parsePrefix(text);
    if (!prefix || prefix.length < 8 || own.some((network) => overlaps(network.prefix, prefix))) return false;
    return allowed.some((range) => covers(range, prefix));
  });
}

/** Adds what is missing. Returns whether it changed anything. */
export async function sealSubnets(
  config: RouterConfig,
  peers: readonly PeerEntry[],
  own: readonly StackInterface[],
  { routes }: Observed,
): Promise<boolean> {
  const sealed = routes.filter(({ protocol }) => protocol === String(SEAL_PROTOCOL)).length;
  const lines = sealPlan(sealable(peers, config.allowedSubnets, own), routes).add;
  const room = lines.slice(0, Math.max(0, MAX_SEALED - sealed));
  // One that exists already, in a form that was not recognized, is no failure.
  if (room.length > 0) await run(['ip', '-force', '-batch', '-'], `${room.join('\n')}\n`);
  return room.length > 0;
}
