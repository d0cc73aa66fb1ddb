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

const dropped = ({ key, kind, error }: Extract<Entry, { ok: false }>): SourceEvent => ({
  type: 'dropped',
  kind,
  message: `at ${JSON.stringify(key.slice(0, 120))}: ${error}`,
});

/** A new one for every snapshot. */
export class View {
  readonly #prefix: string;
  readonly #own: Identity;
  readonly #envelope: Envelope | undefined;
  /** Key as etcd has it (base64: two keys that are no UTF-8 stay two) -> instance of its last good record; empty where there was none. */
  readonly #instances = new Map<string, string>();
  /** All changes up to this revision of the store are in. */
  revision = 0;

  constructor(prefix: string, own: Identity, envelope?: Envelope) {
    this.#prefix = prefix;
    this.#own = own;
    this.#envelope = envelope;
  }

  /** Whether it holds as many keys as etcd says that there are. */
  isWhole(count: number): boolean {
    return this.#instances.size === Math.min(count, MAX_KEYS);
  }

  put(kv: Pick<KeyValue, 'key' | 'value'>): SourceEvent[] {
    const entry = readEntry(this.#prefix, kv, this.#envelope);
    const before = this.#instances.get(kv.key);
    if (before === undefined && this.#instances.size >= MAX_KEYS) {
      return [{ type: 'dropped', kind: 'too many keys', message: `below the prefix: more than ${MAX_KEYS}` }];
    }
    // What was good before stays: the owner of the key heals it, or its lease removes it.
    this.#instances.set(kv.key, entry.ok ? entry.record.instance : (before ?? ''));
    if (!entry.ok) return entry.kind === OWN_RECORD ? [] : [dropped(entry)];
    const { record } = entry;
    const gone = before !== record.instance ? this.#goneAt(entry.key, before) : [];
    return this.#isOwn(record) ? gone : [...gone, { type: 'upsert', record }];
  }

  delete(kv: Pick<KeyValue, 'key'>): SourceEvent[] {
    const before = this.#instances.get(kv.key);
    this.#instances.delete(kv.key);
    return this.#goneAt(decode(kv.key), before);
  }

  apply({ type, kv }: WatchEvent): SourceEvent[] {
    return type === 'DELETE' ? this.delete(kv) : this.put(kv);
  }

  #goneAt(key: string, instance: string | undefined): SourceEvent[] {
    const stack_id = stackIdOf(this.#prefix, key);
    if (!instance || stack_id === undefined || this.#isOwn({ stack_id, instance })) return [];
    return [{ type: 'remove', gone: { stack_id, instance } }];
  }

  #isOwn({ stack_id, instance }: Identity): boolean {
    return stack_id === this.#own.stack_id && instance === this.#own.instance;
  }
}
