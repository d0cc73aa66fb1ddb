/** With CONFORMANCE_TRUST=1 the suites run once more with keys and identities: whatever a transport carries, it carries it sealed too. */
import { createPrivateKey, createPublicKey, hash, sign } from 'node:crypto';
import { systemClock } from '../../src/process/clock.ts';
import type { StackRecord } from '../../src/record/record.ts';
import type { Envelope } from '../../src/trust/envelope.ts';
import { fingerprintOf, type OwnIdentity } from '../../src/trust/identity.ts';
import { gate } from '../support/trust.ts';

export const TRUST = process.env.CONFORMANCE_TRUST === '1';

/** RFC 8410 section 7: PKCS #8 of an Ed25519 key, before its 32 bytes. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The same for the same instance, also in another process, as its volume would keep it. */
function identityOf({ stack_id, instance }: StackRecord): OwnIdentity {
  const seed = hash('sha256', `${stack_id} ${instance}`, 'buffer');
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-32);
  return { publicKey, fingerprint: fingerprintOf(publicKey), sign: (data) => sign(null, data, key) };
}

export function envelopeOf(record: StackRecord): Envelope | undefined {
  return TRUST ? gate(record.stack_id, { identity: identityOf(record), clock: systemClock }) : undefined;
}
