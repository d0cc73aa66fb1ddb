/** Records for tests: a complete one, varied by what the test is about. */
import { vtepMac } from '../../src/net/mac.ts';
import type { StackRecord } from '../../src/record/record.ts';

/** Stack number n on host 10.0.0.n with subnet 10.(100+n/256).(n%256).0/24. */
export function record(n: number, changes: Partial<StackRecord> = {}): StackRecord {
  const net = `10.${100 + (n >> 8)}.${n & 255}`;
  const stack_id = changes.stack_id ?? `stack-${n}`;
  return {
    stack_id,
    vni: 1000,
    host_ip: `192.168.${n >> 8}.${n & 255 || 1}`,
    subnets: [`${net}.0/24`],
    gateway_ip: `${net}.2`,
    vtep_mac: vtepMac(stack_id),
    vxlan_port: 4789,
    instance: n.toString(16).padStart(16, '0'),
    since: 1_700_000_000_000 + n,
    boot: 1_700_000_000_000 + n,
    seq: 1,
    ...changes,
  };
}
