/** router.json: what this router says of its stack, and at its clean stop that the stack goes. */
import { isoTime } from '../process/clock.ts';
import { writeAtomic } from '../state/atomic-file.ts';
import { OwnFile } from '../state/own-file.ts';
import type { RouterFile } from '../state/router-file.ts';

export type Plane = Omit<RouterFile, 'last_update' | 'state'>;

export class PlaneFile {
  readonly #file: OwnFile;
  readonly #wall: () => number;
  #written: Plane | undefined;
  #text = '';

  constructor(path: string, wall: () => number) {
    this.#file = new OwnFile(path);
    this.#wall = wall;
  }

  get path(): string {
    return this.#file.path;
  }

  /** Whether the file says this already, and nobody else has written it since: the volume is shared. */
  async says(plane: Plane): Promise<boolean> {
    return JSON.stringify(plane) === this.#text && (await this.#file.isIntact());
  }

  /** @throws the system's error (ENOSPC, EACCES, EROFS ...) */
  async write(plane: Plane): Promise<void> {
    await this.#file.write(this.#compose(plane, 'running'));
    this.#written = plane;
    this.#text = JSON.stringify(plane);
  }

  /**
   * The last that was written, now with the word that the stack goes: Discovery, which may be stopped at the same time, waits for it. Without
   * fsync, for the same reason. Never throws: without the word the others notice when the stack's record is over.
   */
  async farewell(): Promise<void> {
    if (!this.#written) return;
    await writeAtomic(this.path, this.#compose(this.#written, 'stopping'), 0o644, false).catch(() => undefined);
  }

  #compose(plane: Plane, state: RouterFile['state']): string {
    const { version, ...rest } = plane;
    const file: RouterFile = { version, state, ...rest, last_update: isoTime(this.#wall()) };
    return `${JSON.stringify(file, undefined, 2)}\n`;
  }
}
