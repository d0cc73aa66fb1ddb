/**
 * The peers of the file that this stack's last discovery wrote. A discovery that starts again would otherwise begin with an empty list, and
 * the router would take down every route until the others have been heard anew. Pure.
 */
import { parseJson, parseRecord, parseWith, type StackRecord } from '../record/record.ts';
import {
  type DiscoveryEnvelope,
  DiscoveryEnvelopeSchema,
  MAX_DISCOVERY_BYTES,
  type PeerEntry,
  PeerSchema,
} from '../state/discovery-file.ts';

export interface RememberedPeer {
  /** The source that saw it: what that source says next counts, as if it had never been away. */
  readonly source: string;
  readonly record: StackRecord;
}

export interface Recollection {
  readonly stackId: string;
  readonly modes: readonly string[];
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** Seconds since the host's start. */
  readonly uptimeS: number;
  /** An older file says nothing of now. Milliseconds. */
  readonly mostAgeMs: number;
}

/** The file does not say which publication it saw, so any that is heard is newer. */
function recordOf(peer: PeerEntry): StackRecord[] {
  const record = parseRecord({ ...peer, boot: 0, seq: 0 });
  return record.ok ? [record.value] : [];
}

/**
 * Milliseconds, by the better of two clocks: the wall clock may have jumped since the file was written, and the host's uptime began anew if the
 * host did.
 */
function ageOf({ last_update, uptime = Number.NaN }: DiscoveryEnvelope, wallMs: number, uptimeS: number): number {
  const byWall = Math.abs(wallMs - Date.parse(last_update));
  const byUptime = 1000 * (uptimeS - uptime);
  return byUptime >= 0 ? Math.min(byWall, byUptime) : byWall;
}

/** None when the file is absent, damaged, another stack's or too old. Rejected peers are not remembered: what they say next is judged anew. */
export function rememberedPeers(
  lastFile: string | undefined,
  { stackId, modes, wallMs, uptimeS, mostAgeMs }: Recollection,
): RememberedPeer[] {
  const parsed = lastFile === undefined ? undefined : parseJson(DiscoveryEnvelopeSchema, lastFile, MAX_DISCOVERY_BYTES);
  if (!parsed?.ok || parsed.value.self.stack_id !== stackId) return [];
  if (ageOf(parsed.value, wallMs, uptimeS) > mostAgeMs) return [];
  return parsed.value.peers.flatMap((item) => {
    const peer = parseWith(PeerSchema, item);
    const known = peer.ok && peer.value.status !== 'rejected' && modes.includes(peer.value.source);
    return known ? recordOf(peer.value).map((record) => ({ source: peer.value.source, record })) : [];
  });
}
