/** A record as the tags of a Serf member. Pure. */
import { fromFlat, toFlat } from '../../record/flat.ts';
import type { Parsed, StackRecord } from '../../record/record.ts';
import type { Tags } from './tag-writer.ts';

/** memberlist's MetaMaxSize, in bytes. */
export const MAX_TAG_BYTES = 512;

/** MessagePack as Serf encodes tags: without str8, so a string of 32 bytes or more has a header of three. */
const stringBytes = (text: string) => {
  const length = Buffer.byteLength(text);
  return length + (length < 32 ? 1 : 3);
};

/** What `tags` take of MAX_TAG_BYTES: Serf's mark, the header of the map, then each name and value. */
export function tagBytes(tags: Tags): number {
  const entries = Object.entries(tags);
  const header = 1 + (entries.length < 16 ? 1 : 3);
  return entries.reduce((sum, [name, value]) => sum + stringBytes(name) + stringBytes(value), header);
}

/** Words for the parts of a record that its owner can make shorter. */
const SHORTEN: readonly (readonly [(tags: Tags) => string, string])[] = [
  [(tags) => [tags.net, tags.net2].filter(Boolean).join(','), 'the subnets of its networks (fewer, or one larger one)'],
  [(tags) => tags.id ?? '', 'STACK_ID'],
  [
    (tags) =>
      Object.entries(tags)
        .flatMap(([name, value]) => (name.startsWith('k.') ? [name, value] : []))
        .join(''),
    'its public keys',
  ],
];

function tooLarge(tags: Tags): string {
  const parts = SHORTEN.map(([text, what]) => ({ bytes: Buffer.byteLength(text(tags)), what }))
    .filter(({ bytes }) => bytes > 32)
    .sort((a, b) => b.bytes - a.bytes)
    .map(({ bytes, what }) => `${what}: ${bytes} bytes`);
  return `this stack's record takes ${tagBytes(tags)} bytes and gossip has room for ${MAX_TAG_BYTES}; shorten ${parts.join(', or ')}`;
}

/** An error in words a person can act on when the record does not fit. */
export function recordTags(record: StackRecord): Parsed<Tags> {
  const tags = toFlat(record);
  return tagBytes(tags) <= MAX_TAG_BYTES ? { ok: true, value: tags } : { ok: false, error: tooLarge(tags) };
}

/** An error in words when a member's tags are not a stack's. */
export function readTags(tags: Tags): Parsed<StackRecord> {
  if (Object.keys(tags).length === 0) return { ok: false, error: 'it has no tags' };
  if (tags.id === undefined || tags.inst === undefined)
    return { ok: false, error: 'its tags are not those of a stack' };
  return fromFlat(tags);
}

/** `readTags` with a memory: hundreds of members are looked at every two seconds, and hardly any has changed. */
export class TagReader {
  #read = new Map<string, Parsed<StackRecord>>();
  #readBefore = new Map<string, Parsed<StackRecord>>();

  readonly read = (tags: Tags): Parsed<StackRecord> => {
    const key = JSON.stringify(tags);
    const parsed = this.#read.get(key) ?? this.#readBefore.get(key) ?? readTags(tags);
    this.#read.set(key, parsed);
    return parsed;
  };

  /** After each look: forgets what the last one did not see. */
  turn(): void {
    this.#readBefore = this.#read;
    this.#read = new Map();
  }
}
