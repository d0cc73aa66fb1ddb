/** The layers of a sealed or signed envelope, each as if the one before it had let everything through. */
import assert from 'node:assert/strict';
import { fromFlat, toFlat } from '../../src/record/flat.ts';
import { packFlat, unpackFlat } from '../../src/trust/compact.ts';
import { fromText, MAX_ENVELOPE_BYTES, toText } from '../../src/trust/envelope.ts';
import { decodeBody, decodeFrame, encodeHeader, encodeStamp, SEALED, SIGNED } from '../../src/trust/frame.ts';
import { record } from '../support/records.ts';
import { checkRecord } from './network-targets.ts';
import { checkWords, type Target } from './target.ts';

const STAMP = encodeStamp({ at: 1_700_000_000_000, boot: 1_700_000_000_000, number: 7, validSeconds: 90 });

function envelope(n: number, flags: number): Buffer {
  const header = {
    purpose: 'announce' as const,
    sealed: (flags & SEALED) !== 0,
    signed: (flags & SIGNED) !== 0,
    keyId: Buffer.alloc(4, 3),
    sender: Buffer.alloc(8, 4),
  };
  const [nonce, tag] = header.sealed ? [Buffer.alloc(12, 1), Buffer.alloc(16, 2)] : [Buffer.alloc(0), Buffer.alloc(0)];
  const proof = header.signed ? Buffer.alloc(96, 5) : Buffer.alloc(0);
  return Buffer.concat([encodeHeader(header), nonce, STAMP, proof, packFlat(toFlat(record(n))), tag]);
}

/** Without the cryptography, which would let nothing damaged through: what an attacker with a key could send. */
const trustEnvelope: Target = {
  name: 'envelope',
  samples: [envelope(2, SIGNED), envelope(3, SEALED), envelope(4, SIGNED | SEALED)],
  run: (bytes) => {
    const viaText = fromText(toText(bytes));
    assert.ok(bytes.length > MAX_ENVELOPE_BYTES || viaText?.equals(bytes));
    const frame = decodeFrame(bytes);
    if (!frame.ok) {
      checkWords(frame.error);
      return false;
    }
    const body = decodeBody(frame.value.body, frame.value.header.signed);
    if (!body.ok) {
      checkWords(body.error);
      return false;
    }
    const flat = unpackFlat(body.value.fields);
    if (!flat.ok) {
      checkWords(flat.error);
      return false;
    }
    const parsed = fromFlat(flat.value);
    if (!parsed.ok) checkWords(parsed.error);
    else checkRecord(parsed.value);
    return parsed.ok;
  },
};

export const trustTargets: readonly Target[] = [trustEnvelope];
