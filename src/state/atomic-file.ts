/** Files in the shared volume: written whole or not at all, read with a size limit. */
import { constants } from 'node:fs';
import { open, readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { randomHex } from '../process/random.ts';

/**
 * Writes `text` so that a reader sees the old file or the new one, never a part: temporary file, fsync, rename, fsync of the folder.
 * Without `durable` there is no fsync: a power cut may then leave an empty file.
 * @throws the system's error (ENOSPC, EACCES, EROFS ...); the old file is then untouched.
 */
export async function writeAtomic(path: string, text: string, mode = 0o644, durable = true): Promise<void> {
  const temporary = `${path}.${randomHex(4)}.tmp`;
  try {
    // wx: never through a symbolic link that somebody else with access to the volume has planted.
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(text);
      if (durable) await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    throw cause;
  }
  if (durable) await syncFolder(dirname(path));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Removes temporary files of `path` that a killed writer left behind. */
export async function removeLeftovers(path: string): Promise<void> {
  const pattern = new RegExp(`^${basename(path).replaceAll('.', '\\.')}\\.[0-9a-f]{8}\\.tmp$`);
  const names = await readdir(dirname(path)).catch(() => []);
  await Promise.all(
    names.filter((name) => pattern.test(name)).map((name) => unlink(join(dirname(path), name)).catch(() => undefined)),
  );
}

/**
 * The file's text, or undefined when there is none.
 * @throws when it is not a regular file, is larger than `maxBytes`, or cannot be read.
 */
export async function readCapped(path: string, maxBytes: number): Promise<string | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    // O_NONBLOCK: a FIFO planted in the volume must not block the reader; O_NOFOLLOW: nor may a link lead out of it.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new Error('not a regular file');
    if (stat.size > maxBytes) throw new Error(`larger than ${maxBytes} bytes`);
    return (await file.readFile('utf8')).slice(0, maxBytes);
  } finally {
    await file.close();
  }
}
