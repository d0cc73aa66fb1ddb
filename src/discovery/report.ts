/** Peer table -> discovery.json, and what changed between two of them. Pure. */
import { type Claim, judge, judgeSelf, type Policy, type Verdict } from '../peers/judge.ts';
import { type StackFilter, unwanted } from '../peers/patterns.ts';
import type { Known } from '../peers/table.ts';
import { isoTime } from '../process/clock.ts';
import type { StackRecord } from '../record/record.ts';
import type { DiscoveryFile, PeerEntry, SelfEntry, SourceState } from '../state/discovery-file.ts';
import type { Dropped } from './dropped-input.ts';

/** RFC 7348 section 5: announced until the router says otherwise. */
export const DEFAULT_VXLAN_PORT = 4789;

export interface ReportInput {
  readonly self: StackRecord;
  readonly interfaceName: string | undefined;
  readonly underlayMtu: number | undefined;
  /** Addresses of this host; its own record's is one in any case. */
  readonly hostAddresses: readonly string[];
  readonly bridgesFilter?: boolean;
  readonly modes: readonly string[];
  readonly known: readonly Known[];
  readonly sources: Readonly<Record<string, SourceState>>;
  readonly policy: Policy;
  readonly filter: StackFilter;
  /** Stacks that are not believed to be who they say, with the reason. */
  readonly refused: readonly (Known & { readonly reason: string })[];
  /** Input that was dropped, by kind. */
  readonly dropped: Readonly<Record<string, Dropped>>;
  readonly wallMs: number;
  /** Seconds since the host's start. */
  readonly uptimeS?: number;
  readonly monotonicMs: number;
}

function published(record: StackRecord): Omit<PeerEntry, 'last_seen' | 'status' | 'source'> {
  const { seq: _seq, boot: _boot, ...fields } = record;
  return { ...fields, vxlan_endpoint: `${record.host_ip}:${record.vxlan_port ?? DEFAULT_VXLAN_PORT}` };
}

function peerEntry(known: Known, reason: string | undefined, input: ReportInput): PeerEntry {
  const lastSeen = isoTime(input.wallMs - (input.monotonicMs - known.seenAt));
  const status = reason !== undefined ? 'rejected' : known.stale ? 'stale' : 'active';
  const { host_ip } = known.record;
  const here = (host_ip === input.self.host_ip || input.hostAddresses.includes(host_ip)) && {
    this_host: true as const,
  };
  return {
    ...published(known.record),
    last_seen: lastSeen,
    status,
    ...(reason && { reason }),
    source: known.source,
    ...here,
  };
}

export function report(input: ReportInput): DiscoveryFile {
  const { claims, verdicts } = judged(input);
  const reason = judgeSelf(input.self, claims, input.policy);
  const self: SelfEntry = {
    ...published(input.self),
    last_seen: isoTime(input.wallMs),
    status: reason === undefined ? 'active' : 'rejected',
    ...(reason && { reason }),
    source: input.modes.join(','),
    boot: input.self.boot,
    ...(input.interfaceName && { interface: input.interfaceName }),
    ...(input.underlayMtu && { underlay_mtu: input.underlayMtu }),
    ...(input.bridgesFilter && { bridges_filter: true }),
  };
  const peers = [
    ...input.known.map((known, index) => peerEntry(known, verdicts[index], input)),
    ...input.refused.map((known) => peerEntry(known, known.reason, input)),
  ];
  const kinds = Object.entries(input.dropped);
  const dropped = kinds.length > 0 && {
    dropped: Object.fromEntries(kinds.map(([kind, { count }]) => [kind, count])),
    last_dropped: Object.fromEntries(kinds.map(([kind, { at }]) => [kind, isoTime(at)])),
  };
  return {
    version: 1,
    last_update: isoTime(input.wallMs),
    ...(input.uptimeS !== undefined && { uptime: input.uptimeS }),
    self,
    sources: { ...input.sources },
    ...dropped,
    peers,
  };
}

/** A stack that is not wanted claims nothing: what it announces is free for the others. */
function judged({ self, known, policy, filter }: ReportInput): {
  claims: readonly Claim[];
  verdicts: readonly Verdict[];
} {
  const verdicts: Verdict[] = known.map(({ record }) => unwanted(record.stack_id, filter));
  const wanted = known.flatMap(({ record }, index) => (verdicts[index] === undefined ? [{ record, index }] : []));
  const claims = wanted.map(({ record }) => record);
  for (const [i, verdict] of judge(self, claims, policy).entries()) verdicts[wanted[i]!.index] = verdict;
  return { claims, verdicts };
}

type Stood = { readonly peers: readonly Pick<PeerEntry, 'stack_id' | 'instance' | 'status' | 'subnets'>[] };

/** Whether a claim to a subnet stands in one of the files. */
export function stoodIn(...files: readonly (Stood | undefined)[]): (claim: Claim, subnet: string) => boolean {
  return ({ stack_id, instance }, subnet) =>
    files.some((file) =>
      file?.peers.some(
        (peer) =>
          peer.stack_id === stack_id &&
          peer.instance === instance &&
          peer.status !== 'rejected' &&
          peer.subnets.includes(subnet),
      ),
    );
}

/** The file without its times and counts: two files that differ only there say the same. That a new kind of input is dropped is news. */
export function material({ dropped, last_dropped: _last, ...file }: DiscoveryFile): string {
  const text = JSON.stringify(file, (key, value) =>
    key === 'last_seen' || key === 'last_update' || key === 'uptime' ? undefined : value,
  );
  return text + Object.keys(dropped ?? {}).join();
}

export interface Change {
  readonly level: 'info' | 'warn';
  readonly text: string;
}

const label = (peer: PeerEntry) =>
  `${peer.stack_id} at ${peer.vxlan_endpoint}${peer.subnets.length ? ` with ${peer.subnets.join(', ')}` : ', no subnets yet'}`;

function describe(before: PeerEntry | undefined, after: PeerEntry): Change | undefined {
  if (after.status === 'rejected') {
    if (before?.reason === after.reason) return undefined;
    return { level: 'warn', text: `peer ${after.stack_id} on ${after.host_ip} rejected: ${after.reason}` };
  }
  if (!before || before.status === 'rejected')
    return { level: 'info', text: `peer ${label(after)} joined (${after.source})` };
  if (label(before) !== label(after)) return { level: 'info', text: `peer ${label(after)} changed` };
  if (before.status === after.status) return undefined;
  if (after.status === 'stale')
    return { level: 'warn', text: `peer ${after.stack_id} is silent since ${after.last_seen}; still routed` };
  return { level: 'info', text: `peer ${after.stack_id} is back` };
}

/** What a person should read in the log, in a stable order. */
export function changes(before: DiscoveryFile | undefined, after: DiscoveryFile): Change[] {
  const keyOf = (peer: PeerEntry) => `${peer.stack_id}/${peer.instance}`;
  const old = new Map((before?.peers ?? []).map((peer) => [keyOf(peer), peer]));
  const result: Change[] = [];
  for (const peer of after.peers) {
    const change = describe(old.get(keyOf(peer)), peer);
    if (change) result.push(change);
    old.delete(keyOf(peer));
  }
  for (const peer of old.values()) {
    if (peer.status !== 'rejected') result.push({ level: 'info', text: `peer ${peer.stack_id} left` });
  }
  if (after.self.reason !== undefined && after.self.reason !== before?.self.reason) {
    result.push({ level: 'warn', text: `this stack is rejected by the others: ${after.self.reason}` });
  }
  return result;
}

/** Why the shared volume cannot be written, with what mends it. */
export function explainWriteError(path: string, cause: NodeJS.ErrnoException): string {
  const remedies: Record<string, string> = {
    EACCES: `; the volume must belong to the user that discovery runs as: chown ${process.getuid?.() ?? 10001} on its folder, or use a named volume`,
    EROFS: '; mount the volume of the discovery service without :ro',
    ENOSPC: '; the disk is full',
  };
  return `cannot write ${path} (${cause.message})${remedies[cause.code ?? ''] ?? ''}`;
}
