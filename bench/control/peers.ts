/** Stacks that do not exist, as many as wanted. */
import { formatIpv4, parseIpv4 } from '../../src/net/ipv4.ts';
import { vtepMac } from '../../src/net/mac.ts';
import type { StackRecord } from '../../src/record/record.ts';
import type { DiscoveryInput } from '../../src/router/discovery-input.ts';
import type { PeerEntry, SelfEntry } from '../../src/state/discovery-file.ts';

/** Subnets of 10.100.0.0 and above, and hosts of the range for benchmarks (RFC 2544), one stack a host: the dearest case. */
const FIRST_SUBNET = parseIpv4('10.100.0.0')!;
const FIRST_HOST = parseIpv4('198.18.0.1')!;
const EPOCH = 1_700_000_000_000;
export const VNI = 1000;

export function peer(n: number, changes: Partial<StackRecord> = {}): StackRecord {
  const base = FIRST_SUBNET + n * 256;
  const stack_id = changes.stack_id ?? `bench-${n}`;
  return {
    stack_id,
    vni: VNI,
    host_ip: formatIpv4(FIRST_HOST + n),
    subnets: [`${formatIpv4(base)}/24`],
    gateway_ip: formatIpv4(base + 2),
    vtep_mac: vtepMac(stack_id),
    vxlan_port: 4789,
    instance: n.toString(16).padStart(16, '0'),
    since: EPOCH + n,
    boot: EPOCH + n,
    seq: 1,
    ...changes,
  };
}

export const peers = (count: number): StackRecord[] => Array.from({ length: count }, (_, n) => peer(n));

const TIME = '2024-01-15T10:30:00Z';

function entry({ boot: _boot, seq: _seq, ...rest }: StackRecord): PeerEntry {
  return { ...rest, last_seen: TIME, status: 'active', source: 'multicast' };
}

const SELF: SelfEntry = {
  ...entry(peer(0, { stack_id: 'stack-a', subnets: [], instance: 'f'.repeat(16), host_ip: '10.77.0.1' })),
  boot: EPOCH,
  underlay_mtu: 1500,
};

export function discoveryInput(records: readonly StackRecord[]): DiscoveryInput {
  return { self: SELF, peers: records.map(entry), dropped: [] };
}

/** discovery.json as discovery would write it. */
export function discoveryFile(records: readonly StackRecord[]): string {
  return JSON.stringify({ version: 1, last_update: TIME, self: SELF, peers: records.map(entry) }, undefined, 2);
}
