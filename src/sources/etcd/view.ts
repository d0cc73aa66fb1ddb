/** What etcd holds below the prefix -> source events. Knows which instance each key last held, since a deletion does not say. */
import { type Identity, MAX_RECORD_BYTES, type StackRecord } from '../../record/record.ts';
import type { Envelope } from '../../trust/envelope.ts';
import { readRecordText } from '../../trust/record-text.ts';
import type { SourceEvent } from '../source.ts';
import { decode, stackIdOf } from './keys.ts';
import type { KeyValue, WatchEvent } from './messages.ts';

/** Base64 is a third longer. */
const MAX_VALUE_CHARACTERS = Math.ceil((MAX_RECORD_BYTES * 4) / 3) + 4;
/** Keys beyond these are not looked at: more than the peer table can hold several times over. */
export const MAX_KEYS = 65_536;

/** Ours, as the envelope tells. */
export const OWN_RECORD = 'own record';

type Entry =
  | { readonly ok: true; readonly key: string; readonly record: StackRecord }
  | { readonly ok: false; readonly key: string; readonly kind: string; readonly error: string };

/** A key and its value as a record, or why it is none. */
export function readEntry(prefix: string, kv: Pick<KeyValue, 'key' | 'value'>, envelope?: Envelope): Entry {
  const key = decode(kv.key);
  const id = stackIdOf(prefix, key);
  if (id === undefined) return { ok: false, key, kind: 'foreign key', error: 'is not PREFIX/{stack-id}/record' };
  if (kv.value.length > MAX_VALUE_CHARACTERS) {
    return { ok: false, key, kind: 'malformed record', error: `larger than ${MAX_RECORD_BYTES} bytes` };
  }
  const parsed = readRecordText('etcd', decode(kv.value), envelope);
  if (!parsed.ok) return { ok: false, key, kind: `${parsed.kind} record`, error: parsed.error };
  if (parsed.value.stack_id !== id) {
    return { ok: false, key, kind: 'misplaced record', error: `holds the record of ${parsed.value.stack_id}` };
  }
  return { ok: true, key, record: parsed.value };
}

const holder = ({ instance, subnets }: StackRecord): Holder => ({ instance, routed: subnets.length > 0 });

const dropped = ({ key, kind, error }: Extract<Entry, { ok: false }>): SourceEvent => ({
  type: 'dropped',
  kind,
  message: `at ${JSON.stringify(key.slice(0, 120))}: ${error}`,
});

/** Who holds a key, and whether anything is routed to it. */
interface Holder {
  readonly instance: string;
  readonly routed: boolean;
}

/** A new one for every snapshot. */
export class View {
  readonly #prefix: string;
  readonly #own: Identity;
  readonly #envelope: Envelope | undefined;
  /** Key as etcd has it (base64: two keys that are no UTF-8 stay two) -> its last good record's; undefined where there was none. */
  readonly #holders = new Map<string, Holder | undefined>();
  readonly #refused = new Set<string>();
  /** All changes up to this revision of the store are in. */
  revision = 0;

  constructor(prefix: string, own: Identity, envelope?: Envelope) {
    this.#prefix = prefix;
    this.#own = own;
    this.#envelope = envelope;
  }

  /** Whether it holds as many keys as etcd says that there are. */
  isWhole(count: number): boolean {
    return this.#holders.size === Math.min(count, MAX_KEYS);
  }

  /** Whether there are records that were not believed, and may be once the keys or identities that are known have changed. */
  get hasRefused(): boolean {
    return this.#refused.size > 0;
  }

  put(kv: Pick<KeyValue, 'key' | 'value'>): SourceEvent[] {
    const entry = readEntry(this.#prefix, kv, this.#envelope);
    const before = this.#holders.get(kv.key);
    if (!this.#holders.has(kv.key) && this.#holders.size >= MAX_KEYS) {
      return [{ type: 'dropped', kind: 'too many keys', message: `below the prefix: more than ${MAX_KEYS}` }];
    }
    // What was good before stays: the owner of the key heals it, or its lease removes it.
    this.#holders.set(kv.key, entry.ok ? holder(entry.record) : before);
    if (!entry.ok && this.#envelope && entry.kind !== OWN_RECORD) this.#refused.add(kv.key);
    else this.#refused.delete(kv.key);
    if (!entry.ok) return entry.kind === OWN_RECORD ? [] : [dropped(entry)];
    const { record } = entry;
    const gone = before?.instance !== record.instance ? this.#goneAt(entry.key, before) : [];
    return this.#isOwn(record) ? gone : [...gone, { type: 'upsert', record }];
  }

  /** A stack that still had networks did not say goodbye (`Claim.leave`), and stays for `fadeMs`. */
  delete(kv: Pick<KeyValue, 'key'>, fadeMs: number): SourceEvent[] {
    const before = this.#holders.get(kv.key);
    this.#holders.delete(kv.key);
    this.#refused.delete(kv.key);
    return this.#goneAt(decode(kv.key), before, before?.routed ? fadeMs : 0);
  }

  apply({ type, kv }: WatchEvent, fadeMs: number): SourceEvent[] {
    return type === 'DELETE' ? this.delete(kv, fadeMs) : this.put(kv);
  }

  #goneAt(key: string, before: Holder | undefined, fadeMs = 0): SourceEvent[] {
    const stack_id = stackIdOf(this.#prefix, key);
    if (before === undefined || stack_id === undefined) return [];
    const gone = { stack_id, instance: before.instance };
    return this.#isOwn(gone) ? [] : [{ type: 'remove', gone, ...(fadeMs > 0 && { fadeMs }) }];
  }

  #isOwn({ stack_id, instance }: Identity): boolean {
    return stack_id === this.#own.stack_id && instance === this.#own.instance;
  }
}
