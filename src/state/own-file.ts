/** A file of the shared volume that this process alone writes, and notices when somebody else did: the volume is shared. */
import { lstat } from 'node:fs/promises';
import { writeAtomic } from './atomic-file.ts';

/** What the file is, so that any other write, a deletion, or a file in its place makes another. */
async function markOf(path: string): Promise<string> {
  const stat = await lstat(path).catch(() => undefined);
  return stat === undefined ? '' : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
}

export class OwnFile {
  readonly path: string;
  #mark: string | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** @throws the system's error (ENOSPC, EACCES, EROFS ...); the old file is then untouched. */
  async write(text: string): Promise<void> {
    await writeAtomic(this.path, text);
    this.#mark = await markOf(this.path);
  }

  /** Whether the file is what was last written here; true also before the first write. Not while `write` is under way. */
  async isIntact(): Promise<boolean> {
    return this.#mark === undefined || this.#mark === (await markOf(this.path));
  }
}
