/** A record as text, for what keeps records as text: JSON in clear, or an envelope. Pure but for the envelope. */
import { fromFlat, toFlat } from '../record/flat.ts';
import { MAX_RECORD_BYTES, parseJson, RecordSchema, type StackRecord } from '../record/record.ts';
import { type Envelope, fromText, NO_KEYS, NOT_SEALED, type Opened, type Purpose, toText } from './envelope.ts';

export type ReadRecord =
  | { readonly ok: true; readonly value: StackRecord }
  | { readonly ok: false; readonly kind: string; readonly error: string };

const malformed = (error: string): ReadRecord => ({ ok: false, kind: 'malformed', error });

export function recordText(purpose: Purpose, record: StackRecord, envelope: Envelope | undefined): string {
  return envelope ? toText(envelope.closeRecord(purpose, record)) : JSON.stringify(record);
}

/** What came in an envelope as a record. */
export function openedRecord(opened: Opened): ReadRecord {
  if (!opened.ok) return opened;
  const record = fromFlat(opened.flat);
  return record.ok ? record : malformed(record.error);
}

export function readRecordText(purpose: Purpose, text: string, envelope: Envelope | undefined): ReadRecord {
  const sealed = fromText(text);
  if (sealed) return envelope ? openedRecord(envelope.open(purpose, sealed)) : NO_KEYS;
  if (envelope?.seals) return NOT_SEALED;
  const record = parseJson(RecordSchema, text, MAX_RECORD_BYTES);
  if (!record.ok) return malformed(record.error);
  const refused = envelope?.openClear(toFlat(record.value));
  return refused?.ok === false ? refused : record;
}
