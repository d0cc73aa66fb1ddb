/** Routes to networks that a host is on itself, from /proc/net/route. Pure. */
import { type Prefix, prefixOf } from '../net/ipv4.ts';

/** The kernel prints addresses as it holds them: the bytes of network order, read as one number by a little-endian processor. */
function address(hex: string): number {
  return Buffer.from(hex, 'hex').readUInt32LE();
}

function lengthOf(mask: number): number {
  let length = 0;
  while (length < 32 && (mask & (0x80000000 >>> length)) !== 0) length += 1;
  return length;
}

/** Routes without a gateway, the default route and rejecting ones left out. `text` as the kernel prints it (proc(5)). */
export function linkRoutes(text: string): { readonly name: string; readonly prefix: Prefix }[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', destination = '', gateway = '', , , , , mask = ''] = line.trim().split(/\s+/);
    const words = [destination, gateway, mask];
    if (name === '*' || !words.every((word) => /^[0-9A-F]{8}$/.test(word)) || gateway !== '00000000') return [];
    const length = lengthOf(address(mask));
    return length === 0 ? [] : [{ name, prefix: prefixOf(address(destination), length) }];
  });
}
