/** Whether a stack's daemons are ready, by the files that a container's health check and a service would read. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseJson } from '../record/record.ts';
import { DiscoveryFileSchema, MAX_DISCOVERY_BYTES } from '../state/discovery-file.ts';
import { processName } from './daemons.ts';
import { healthFileOf, processFolder, volumeOf } from './folders.ts';
import { isRunning, recorded } from './processes.ts';
import { expectedPeers, ROLES, type Role, type Stack, type Topology } from './topology.ts';

const POLL_MS = 50;

export interface Pending {
  readonly stack: string;
  readonly role: Role;
  readonly why: string;
  /** The process has ended: waiting is of no use. */
  readonly ended: boolean;
}

export class NotReadyError extends Error {
  readonly pending: readonly Pending[];
  constructor(pending: readonly Pending[]) {
    super(pending.map(({ stack, role, why }) => `the ${role} of ${stack}: ${why}`).join('\n'));
    this.pending = pending;
  }
}

/** `STATUS UPTIME MESSAGE` of a health file -> why it is not healthy; undefined when it is. */
export function unhealthy(line: string): string | undefined {
  const [status = '', , ...message] = line.trim().split(' ');
  if (status === 'ok') return undefined;
  return status === '' ? 'is starting' : message.join(' ');
}

/** How many peers with a data plane the text of a `discovery.json` has as active. */
export function activePeers(text: string): number {
  const file = parseJson(DiscoveryFileSchema, text, MAX_DISCOVERY_BYTES);
  return file.ok
    ? file.value.peers.filter(({ status, subnets }) => status === 'active' && subnets.length > 0).length
    : 0;
}

/** Number of subnets that a healthy router says it routes to. */
export function routedSubnets(line: string): number {
  return Number(/^ok \d+ (\d+) remote subnets/.exec(line)?.[1] ?? 0);
}

const text = (path: string) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

function missing(topology: Topology, stack: Stack, role: Role): string | undefined {
  const health = text(healthFileOf(topology.prefix, stack.name, role));
  const reason = unhealthy(health);
  if (reason !== undefined) return reason;
  const want = expectedPeers(topology, stack);
  const discovery = text(join(volumeOf(topology.prefix, stack.name), 'discovery.json'));
  const [have, what] =
    role === 'discovery' ? [activePeers(discovery), 'peers known'] : [routedSubnets(health), 'subnets routed'];
  return have < want ? `${have} of ${want} ${what}` : undefined;
}

/** What is not ready yet. */
export function pendingDaemons(topology: Topology): Pending[] {
  return topology.stacks.flatMap((stack) =>
    ROLES.flatMap((role) => {
      const tracked = recorded(processFolder(topology.prefix), processName(stack, role));
      const ended = !tracked || !isRunning(tracked);
      const why = ended ? 'has ended' : missing(topology, stack, role);
      return why === undefined ? [] : [{ stack: stack.name, role, why, ended }];
    }),
  );
}

export interface WaitOptions {
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Told from time to time what is still missing. */
  readonly onPending?: (pending: readonly Pending[]) => void;
}

/** Returns once every stack knows and routes to every other of its VNI. @throws NotReadyError */
export async function untilReady(topology: Topology, { withinMs, signal, onPending }: WaitOptions): Promise<void> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const pending = pendingDaemons(topology);
    if (pending.length === 0) return;
    if (Date.now() > deadline || pending.some(({ ended }) => ended)) throw new NotReadyError(pending);
    onPending?.(pending);
    await sleep(POLL_MS, undefined, signal ? { signal } : {});
  }
}
