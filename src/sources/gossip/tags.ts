/** A record as the tags of a Serf member. Pure. */
import { fromFlat, toFlat } from '../../record/flat.ts';
import type { Parsed, StackRecord } from '../../record/record.ts';
import { type Envelope, fromText, NO_KEYS, NOT_SEALED, toText } from '../../trust/envelope.ts';
import { openedRecord, type ReadRecord } from '../../trust/record-text.ts';
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

/** The one tag of a record in an envelope. */
const SEALED_TAG = 'e';

/**
 * Beside a record's tags when its stack stops. Serf's own goodbye goes by time stamps, and a member that exchanges all it knows with the
 * leaving one in that very moment takes it for old news: then it would take a failure to be noticed. Tags do not get lost so.
 */
export const GOODBYE_TAG = 'bye';

function tooLarge(tags: Tags, bytes: number): string {
  const parts = SHORTEN.map(([text, what]) => ({ bytes: Buffer.byteLength(text(tags)), what }))
    .filter(({ bytes }) => bytes > 32)
    .sort((a, b) => b.bytes - a.bytes)
    .map(({ bytes, what }) => `${what}: ${bytes} bytes`);
  return `this stack's record takes ${bytes} bytes and gossip has room for ${MAX_TAG_BYTES}; shorten ${parts.join(', or ')}`;
}

/** An error in words a person can act on when the record does not fit. */
export function recordTags(record: StackRecord, envelope?: Envelope): Parsed<Tags> {
  const flat = toFlat(record);
  const tags = envelope ? { [SEALED_TAG]: toText(envelope.closeRecord('gossip', record)) } : flat;
  const bytes = tagBytes(tags);
  return bytes <= MAX_TAG_BYTES ? { ok: true, value: tags } : { ok: false, error: tooLarge(flat, bytes) };
}

/** An error in words when a member's tags are not a stack's. */
export function readTags(tags: Tags, envelope?: Envelope): ReadRecord {
  const sealed = fromText(tags[SEALED_TAG] ?? '');
  if (sealed) return envelope ? openedRecord(envelope.open('gossip', sealed)) : NO_KEYS;
  if (Object.keys(tags).length === 0) return noStack('it has no tags');
  if (tags.id === undefined || tags.inst === undefined) return noStack('its tags are not those of a stack');
  if (envelope?.seals) return NOT_SEALED;
  const record = fromFlat(tags);
  if (!record.ok) return noStack(record.error);
  const refused = envelope?.openClear(tags);
  return refused?.ok === false ? refused : record;
}

const noStack = (error: string): ReadRecord => ({ ok: false, kind: 'no stack', error });

/** `readTags` with a memory: hundreds of members are looked at every two seconds, and hardly any has changed. */
export class TagReader {
  readonly #envelope: Envelope | undefined;
  #read = new Map<string, ReadRecord>();
  #readBefore = new Map<string, ReadRecord>();

  constructor(envelope?: Envelope) {
    this.#envelope = envelope;
  }

  readonly read = (tags: Tags): ReadRecord => {
    const key = JSON.stringify(tags);
    const parsed = this.#read.get(key) ?? this.#readBefore.get(key) ?? readTags(tags, this.#envelope);
    // What an envelope refused may be believed at the next look: the keys are read again, an identity is forgotten.
    if (parsed.ok || !this.#envelope) this.#read.set(key, parsed);
    return parsed;
  };

  /** After each look: forgets what the last one did not see. */
  turn(): void {
    this.#readBefore = this.#read;
    this.#read = new Map();
  }
}
