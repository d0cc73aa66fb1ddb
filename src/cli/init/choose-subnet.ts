/** A subnet for the stack's network that nobody else uses. Pure. */
import { hash64 } from '../../net/hash.ts';
import { contains, formatPrefix, overlaps, type Prefix, parseIpv4, parsePrefix } from '../../net/ipv4.ts';
import type { IpamEntry } from './model.ts';

export interface Taken {
  readonly prefix: Prefix;
  /** Whose it is, in words that complete "used by ...". */
  readonly by: string;
}

const LENGTH = 24;
/**
 * Tried in this order. First 10.64.0.0 and above: engines never take their own networks from 10.0.0.0/8, and 49,152 subnets make it
 * unlikely that two stacks which cannot hear each other choose the same one.
 */
const POOLS = ['10.64.0.0/10', '10.128.0.0/9', '172.16.0.0/12', '192.168.0.0/16'].map((text) => parsePrefix(text)!);

/** First entry that overlaps `prefix`. */
export function collision(prefix: Prefix, taken: readonly Taken[]): Taken | undefined {
  return taken.find((other) => overlaps(prefix, other.prefix));
}

/** The first free /24, beginning at a place that follows from `seed`: the same stack gets the same one. Undefined: all are taken. */
export function chooseSubnet(seed: string, taken: readonly Taken[]): Prefix | undefined {
  const hash = BigInt(`0x${hash64(seed)}`);
  for (const pool of POOLS) {
    const near = taken.filter(({ prefix }) => overlaps(pool, prefix));
    const count = 2 ** (LENGTH - pool.length);
    const start = Number(hash % BigInt(count));
    for (let i = 0; i < count; i += 1) {
      const prefix = { base: pool.base + ((start + i) % count) * 2 ** (32 - LENGTH), length: LENGTH };
      if (!collision(prefix, near)) return prefix;
    }
  }
  return undefined;
}

/** An address for the router to be the gateway at: the second of the subnet, or the next that the file does not give to somebody. */
export function gatewayAddress(prefix: Prefix, entry: IpamEntry, statics: readonly string[]): number | undefined {
  const used = new Set([entry.gateway, ...Object.values(entry.aux), ...statics].map((text) => text && parseIpv4(text)));
  const last = prefix.base + 2 ** (32 - prefix.length) - 1;
  // The first is the bridge's, unless the file says otherwise.
  const from = prefix.base + 2;
  for (let address = from; address < last && contains(prefix, address); address += 1)
    if (!used.has(address)) return address;
  return undefined;
}

export function describeTaken(prefix: Prefix, { prefix: other, by }: Taken): string {
  return `${formatPrefix(prefix)} overlaps ${formatPrefix(other)}, used by ${by}`;
}
