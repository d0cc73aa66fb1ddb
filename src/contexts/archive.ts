/** The archive of `docker save`: which of its files a host needs that has some of the layers already. Pure. */

export const BLOCK = 512;

export interface Entry {
  readonly name: string;
  /** Where its content begins, and how long it is. */
  readonly data: number;
  readonly size: number;
  /** Its part of the archive, headers and padding included: from `start` up to, not including, `end`. */
  readonly start: number;
  readonly end: number;
}

export interface Header {
  readonly name: string;
  readonly size: number;
  /** `x` and `g`: extended headers, which belong to the entry after them. */
  readonly type: string;
}

const field = (block: Buffer, from: number, to: number) => block.toString('latin1', from, to).replace(/\0.*$/s, '');

/** A size of 8 GB and more is written in base 256, marked by the highest bit. */
function sizeOf(block: Buffer): number {
  if (block[124]! & 0x80) return Number(block.readBigUInt64BE(128));
  return Number.parseInt(field(block, 124, 136).trim() || '0', 8);
}

/** A 512-byte block -> the header it is (POSIX ustar); undefined for the zeros at the end. @throws Error for anything else. */
export function parseHeader(block: Buffer): Header | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  if (field(block, 257, 262) !== 'ustar') throw new Error('not a tar archive');
  const prefix = field(block, 345, 500);
  const name = field(block, 0, 100);
  return { name: prefix ? `${prefix}/${name}` : name, size: sizeOf(block), type: String.fromCharCode(block[156]!) };
}

export const padded = (size: number): number => Math.ceil(size / BLOCK) * BLOCK;

/** Reads `length` bytes at `offset`; fewer at the end. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>;

/** Every entry of an archive, in order. @throws Error when it is none. */
export async function indexArchive(readAt: ReadAt): Promise<Entry[]> {
  const entries: Entry[] = [];
  let start = 0;
  for (let offset = 0; ; ) {
    const block = await readAt(offset, BLOCK);
    const header = block.length < BLOCK ? undefined : parseHeader(block);
    if (!header) return entries;
    const end = offset + BLOCK + padded(header.size);
    if (header.type !== 'x' && header.type !== 'g') {
      entries.push({ name: header.name.replace(/^\.\//, ''), data: offset + BLOCK, size: header.size, start, end });
      start = end;
    }
    offset = end;
  }
}

/** An image of the archive's `manifest.json`: its layers' files, and their digests from the image's configuration, both from the bottom up. */
export interface SavedImage {
  readonly files: readonly string[];
  readonly layers: readonly string[];
}

/** How many layers two images share from the bottom. An engine knows a layer by all that is below it, so only these count. */
export function sharedLayers(a: readonly string[], b: readonly string[]): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i += 1;
  return i;
}

/** Files of the archive that an engine which has images of these layers will not read. */
export function presentFiles(images: readonly SavedImage[], present: readonly (readonly string[])[]): Set<string> {
  const have = (layers: readonly string[]) => Math.max(0, ...present.map((other) => sharedLayers(layers, other)));
  const needed = new Set(images.flatMap(({ layers }) => layers.slice(have(layers))));
  return new Set(images.flatMap(({ files, layers }) => files.filter((_, i) => !needed.has(layers[i]!))));
}

/** Stretches of the archive without the given files, as long as they can be. */
export function ranges(entries: readonly Entry[], without: ReadonlySet<string>): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = [];
  for (const { name, start, end } of entries) {
    if (without.has(name)) continue;
    const last = found.at(-1);
    if (last?.end === start) last.end = end;
    else found.push({ start, end });
  }
  return found;
}
