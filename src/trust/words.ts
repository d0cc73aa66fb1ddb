/** What is said of a stack that is not believed, with what mends it. Pure. */
import type { Stamp } from './frame.ts';

export function otherIdentity(stackId: string, bound: string, seen: string | undefined, isOwn: boolean): string {
  const whose = isOwn ? 'is this stack, whose identity is' : 'belongs to the identity';
  const other = seen === undefined ? 'this one is not signed' : `this one is ${seen}`;
  const remedy = isOwn
    ? 'give one of them another STACK_ID'
    : `if that stack was given a new identity on purpose: docker compose exec discovery docker-router trust forget ${stackId}`;
  return `failed authentication: the stack id ${stackId} ${whose} ${bound}, and ${other}; ${remedy}`;
}

export function notListed(stackId: string, fingerprint: string | undefined): string {
  const add = fingerprint === undefined ? 'it has no identity' : `to trust it, add ${stackId}=${fingerprint}`;
  return `failed authentication: stack ${stackId} is not in TRUSTED_PEERS; ${add}`;
}

function about(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** Why a stamp is not of now; undefined when it is. Milliseconds since 1970. */
export function outOfTime({ at, validSeconds }: Stamp, wallMs: number, toleranceMs: number): string | undefined {
  const remedy = 'set the clocks of both hosts by NTP, or CLOCK_TOLERANCE';
  if (at - wallMs > toleranceMs)
    return `failed authentication: it was made ${about(at - wallMs)} in the future of this host's clock; ${remedy}`;
  const age = wallMs - at - validSeconds * 1000;
  if (age > toleranceMs)
    return `failed authentication: it is ${about(wallMs - at)} old by this host's clock; ${remedy}`;
  return undefined;
}
