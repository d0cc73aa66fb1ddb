/** Random names from the kernel. node:crypto would cost 1.5 MB of private memory in each daemon. */
import { closeSync, openSync, readSync } from 'node:fs';

/** `bytes` random bytes in hexadecimal. For names that must not collide, and for secrets: random(4) says it is fit for both. */
export function randomHex(bytes: number): string {
  const buffer = Buffer.alloc(bytes);
  const file = openSync('/dev/urandom', 'r');
  try {
    readSync(file, buffer, 0, bytes, null);
  } finally {
    closeSync(file);
  }
  return buffer.toString('hex');
}
