/** IPv4 addresses and prefixes as unsigned 32-bit numbers: pure, allocation-free comparisons for tables of 10,000 peers. */

/** A prefix in canonical form: host bits are zero. */
export interface Prefix {
  readonly base: number;
  readonly length: number;
}

const DOT = 46;
const ZERO = 48;

/**
 * Dotted quad -> unsigned 32-bit number; undefined when it is not one. Leading zeros are refused (inet_aton reads them as octal).
 * Read character by character: 10,000 peers bring 50,000 addresses with each change.
 */
export function parseIpv4(text: string): number | undefined {
  let address = 0;
  let octets = 0;
  let octet = -1;
  for (let i = 0; i <= text.length; i += 1) {
    const code = i === text.length ? DOT : text.charCodeAt(i);
    if (code === DOT) {
      if (octet < 0) return undefined;
      address = address * 256 + octet;
      octets += 1;
      octet = -1;
    } else {
      const digit = code - ZERO;
      if (digit < 0 || digit > 9 || octet === 0) return undefined;
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return undefined;
    }
  }
  return octets === 4 ? address : undefined;
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

function mask(length: number): number {
  return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
}

/** Netmask of a prefix length, as a dotted quad. */
export function maskOf(length: number): string {
  return formatIpv4(mask(length));
}

/** `a.b.c.d/len` -> prefix; undefined when malformed or when host bits are set (172.30.0.5/24 is an address, not a subnet). */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const digits = text.slice(slash + 1);
  const base = slash < 0 ? undefined : parseIpv4(text.slice(0, slash));
  if (base === undefined || !/^(\d|[12]\d|3[0-2])$/.test(digits)) return undefined;
  const length = Number(digits);
  if ((base & mask(length)) >>> 0 !== base) return undefined;
  return { base, length };
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIpv4(prefix.base)}/${prefix.length}`;
}

/** The subnet in which an interface address such as 172.30.0.5/24 lies. */
export function prefixOf(address: number, length: number): Prefix {
  return { base: (address & mask(length)) >>> 0, length };
}

export function contains(prefix: Prefix, address: number): boolean {
  return (address & mask(prefix.length)) >>> 0 === prefix.base;
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.length <= b.length ? contains(a, b.base) : contains(b, a.base);
}

/** Whether `inner` lies wholly inside `outer`. */
export function covers(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && contains(outer, inner.base);
}

/** First usable address: what Docker gives a bridge when the compose file names no gateway. */
export function firstHost(prefix: Prefix): number {
  return prefix.base + 1;
}

/** RFC 1918, and RFC 6598 (100.64.0.0/10, shared address space that Docker users pick when RFC 1918 is exhausted). */
export const PRIVATE_PREFIXES: readonly Prefix[] = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
].map((text) => parsePrefix(text)!);

/** Addresses that can never be a host on the underlay: 0/8, loopback, link-local, multicast and above (RFC 6890). */
const NEVER_A_HOST = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'].map((text) => parsePrefix(text)!);

export function isHostAddress(address: number): boolean {
  return !NEVER_A_HOST.some((prefix) => contains(prefix, address));
}

/** RFC 5771: 224.0.0.0/4. */
export function isMulticast(address: number): boolean {
  return address >>> 28 === 0xe;
}
