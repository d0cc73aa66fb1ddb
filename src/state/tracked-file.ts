/** A file of the other side: hostile input of which the last good value is kept. */
import { stat } from 'node:fs/promises';
import type { Parsed } from '../record/record.ts';
import { readCapped } from './atomic-file.ts';

export type Look<T> =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'good'; readonly value: T }
  | { readonly kind: 'bad'; readonly error: string };

export class TrackedFile<T> {
  readonly path: string;
  readonly #maxBytes: number;
  readonly #parse: (text: string) => Parsed<T>;
  #signature = '';
  #looking: Promise<unknown> = Promise.resolve();

  constructor(path: string, maxBytes: number, parse: (text: string) => Parsed<T>) {
    this.path = path;
    this.#maxBytes = maxBytes;
    this.#parse = parse;
  }

  /**
   * Reads the file when it differs from the last look. Never throws. One look after the other, in the order in which they were asked for: who
   * hears "unchanged" can be sure that what was found before has been told, and not only that somebody else is at it.
   */
  look(): Promise<Look<T>> {
    const look = this.#looking.then(() => this.#look());
    this.#looking = look;
    return look;
  }

  async #look(): Promise<Look<T>> {
    try {
      const signature = await this.#stat();
      if (signature === this.#signature) return { kind: 'unchanged' };
      this.#signature = signature;
      const text = signature === 'absent' ? undefined : await readCapped(this.path, this.#maxBytes);
      if (text === undefined) return { kind: 'absent' };
      const parsed = this.#parse(text);
      return parsed.ok ? { kind: 'good', value: parsed.value } : { kind: 'bad', error: parsed.error };
    } catch (cause) {
      return { kind: 'bad', error: (cause as Error).message };
    }
  }

  async #stat(): Promise<string> {
    try {
      const { ino, size, mtimeNs } = await stat(this.path, { bigint: true });
      return `${ino}/${size}/${mtimeNs}`;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return 'absent';
      throw cause;
    }
  }
}
