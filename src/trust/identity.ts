/** This stack's Ed25519 identity, in a volume that nothing else sees. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { join } from 'node:path';
import { ConfigError } from '../config/variables.ts';
import { readCapped, writeAtomic } from '../state/atomic-file.ts';
import { PUBLIC_KEY_BYTES } from './frame.ts';

export const IDENTITY_FILE = 'identity.pem';
const MAX_FILE_BYTES = 4096;
/** RFC 8410 section 4: SubjectPublicKeyInfo of an Ed25519 key, before its 32 bytes. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

export interface OwnIdentity {
  readonly publicKey: Buffer;
  readonly fingerprint: string;
  sign(data: Buffer): Buffer;
}

/** 128 bits of SHA-256 in hexadecimal: short enough to be read out, and out of reach for whoever would find a second key for one. */
export function fingerprintOf(publicKey: Buffer): string {
  return createHash('sha256').update(publicKey).digest('hex').slice(0, 32);
}

function rawPublicKey(key: KeyObject): Buffer {
  const spki = key.export({ type: 'spki', format: 'der' });
  return spki.subarray(spki.length - PUBLIC_KEY_BYTES);
}

function fromPem(pem: string, path: string): OwnIdentity {
  try {
    const privateKey = createPrivateKey(pem);
    if (privateKey.asymmetricKeyType !== 'ed25519')
      throw new Error(`holds a key of type ${privateKey.asymmetricKeyType}`);
    const publicKey = rawPublicKey(createPublicKey(privateKey));
    return { publicKey, fingerprint: fingerprintOf(publicKey), sign: (data) => sign(null, data, privateKey) };
  } catch (cause) {
    const problem = `IDENTITY_DIR: ${path} is no Ed25519 key (${(cause as Error).message}); restore it, or delete it and tell the other stacks by "docker-router trust forget" that this one begins anew`;
    throw new ConfigError([problem]);
  }
}

/** The identity in `folder`, if there is one. @throws ConfigError when it cannot be read or is damaged. */
export async function readIdentity(folder: string): Promise<OwnIdentity | undefined> {
  const path = join(folder, IDENTITY_FILE);
  const pem = await readCapped(path, MAX_FILE_BYTES).catch((cause: Error) => {
    throw new ConfigError([`IDENTITY_DIR: ${path} cannot be read (${cause.message})`]);
  });
  return pem === undefined ? undefined : fromPem(pem, path);
}

/** The identity in `folder`; made at the first start. @throws ConfigError when the folder cannot be used. */
export async function loadIdentity(folder: string): Promise<OwnIdentity & { readonly isNew: boolean }> {
  const path = join(folder, IDENTITY_FILE);
  const present = await readIdentity(folder);
  if (present) return { ...present, isNew: false };
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  await writeAtomic(path, pem, 0o600).catch((cause: Error) => {
    const remedy = `mount a volume there that user ${process.getuid?.() ?? 10001} owns, of this stack's discovery alone`;
    throw new ConfigError([`IDENTITY_DIR: ${path} cannot be written (${cause.message}); ${remedy}`]);
  });
  return { ...fromPem(pem, path), isNew: true };
}

/** Whether `signature` over `data` was made by the owner of `publicKey`. Never throws. */
export function isSignedBy(publicKey: Buffer, data: Buffer, signature: Buffer): boolean {
  try {
    const key = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' });
    return verify(null, data, key, signature);
  } catch {
    return false;
  }
}
