/** Whether a stack may take a name of the zone that is in use. Pure. */
import type { StackRecord } from '../../record/record.ts';
import type { Entry } from './entry.ts';
import { about } from './words.ts';

/** What is found under the name of this stack. */
export interface Holder {
  readonly entry: Entry;
  /** For how long this stack has seen it unchanged, in milliseconds. */
  readonly unchangedMs: number;
}

export type Claim =
  | { readonly is: 'ours' }
  /** An operator's entry is never overwritten; it is up to the operator that it is right. */
  | { readonly is: 'static' }
  | { readonly is: 'held'; readonly message: string };

/** One host, one UDP port, one gateway: two living stacks cannot share these, so a later one there is the successor (as in the peer table). */
function succeeds(self: StackRecord, older: StackRecord): boolean {
  return (
    self.vxlan_port !== undefined &&
    self.vxlan_port === older.vxlan_port &&
    self.host_ip === older.host_ip &&
    self.gateway_ip === older.gateway_ip &&
    self.boot > older.boot
  );
}

/** `nowSeconds` is the update server's clock, by which all leases of a zone are written. */
export function claim(self: StackRecord, { entry, unchangedMs }: Holder, nowSeconds: number): Claim {
  const { record: holder, lease } = entry;
  if (!lease) return { is: 'static' };
  // Whatever the clocks say, nobody renews it: the lease's length passed before our eyes.
  const lapsed = nowSeconds > lease.until || unchangedMs > lease.seconds * 1000;
  if (holder.instance === self.instance) {
    if (holder.boot <= self.boot || lapsed) return { is: 'ours' };
    const message = `the stack ${self.stack_id} also runs on ${holder.host_ip}, with a copy of this one's volume; remove the volume of one of them and give it another STACK_ID`;
    return { is: 'held', message };
  }
  if (lapsed || succeeds(self, holder)) return { is: 'ours' };
  const message = `the stack id ${self.stack_id} is held by another stack, on ${holder.host_ip} (instance ${holder.instance}); give one of them another STACK_ID, or wait ${about(lease.seconds)} if that one is gone for good`;
  return { is: 'held', message };
}

/** What an operator's entry of this stack says wrongly, in words; undefined when the others can reach it. */
export function mismatch(self: StackRecord, listed: StackRecord): string | undefined {
  // Without a router there is nothing to be reached.
  if (self.subnets.length === 0) return undefined;
  const text = (record: StackRecord) => ({
    'host address': record.host_ip,
    'VXLAN port': String(record.vxlan_port),
    VNI: String(record.vni),
    subnets: [...record.subnets].sort().join(','),
    gateway: String(record.gateway_ip),
    'VTEP MAC': String(record.vtep_mac),
  });
  const [own, theirs] = [Object.entries(text(self)), Object.values(text(listed))];
  const wrong = own.flatMap(([what, value], i) =>
    value === theirs[i] ? [] : [`${what} ${theirs[i]} instead of ${value}`],
  );
  return wrong.length > 0 ? wrong.join(', ') : undefined;
}
