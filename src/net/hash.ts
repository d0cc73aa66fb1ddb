/** A short hash that need not resist anybody: names follow from it, trust does not. node:crypto would cost 1.5 MB of memory. */

/** FNV-1a, 64 bits: offset basis and prime as its authors publish them. */
const OFFSET = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;
const MASK = 0xffffffffffffffffn;

/** Hash of a text's UTF-8 bytes as 16 hexadecimal digits. */
export function hash64(text: string): string {
  let hash = OFFSET;
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * PRIME) & MASK;
  // FNV leaves the last bytes' differences in the low bits: fold the high half over them.
  return (hash ^ (hash >> 29n)).toString(16).padStart(16, '0').slice(-16);
}
