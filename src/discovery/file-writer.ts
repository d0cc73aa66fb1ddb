/** Keeps `discovery.json` as what is known: many changes make one write, a failed one is tried again, a damaged file is written anew. */
import type { Clock } from '../process/clock.ts';
import type { Logger } from '../process/log.ts';
import type { DiscoveryFile } from '../state/discovery-file.ts';
import { OwnFile } from '../state/own-file.ts';
import { changes, explainWriteError, material } from './report.ts';

/**
 * The first event after a rest is written at once; those after it, within this time, make one write; or within twice the time that a write
 * takes, so that a crowd does not keep a processor busy.
 */
const COALESCE_MS = 3;
const REST_MS = 100;
const COALESCE_MOST_MS = 1000;
/** `last_seen` and `last_update` are refreshed this often when nothing else changes. */
export const REFRESH_MS = 30_000;
/** A write that failed is tried again after this. */
const RETRY_MS = 2000;

export interface FileWriterParts {
  readonly clock: Clock;
  readonly log: Logger;
  /** A warning that may repeat itself. */
  readonly warn: (kind: string, text: string) => void;
  /** The file as it shall be; undefined while there is nothing to say. */
  readonly compose: (monotonicMs: number) => DiscoveryFile | undefined;
  /** After every attempt. */
  readonly written: () => void;
}

export class FileWriter {
  readonly #file: OwnFile;
  readonly #parts: FileWriterParts;
  #last: { file: DiscoveryFile; material: string; at: number } | undefined;
  #error: string | undefined;
  #pending: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #tookMs = 0;
  #endedAt = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(path: string, parts: FileWriterParts) {
    this.#file = new OwnFile(path);
    this.#parts = parts;
  }

  get path(): string {
    return this.#file.path;
  }

  /** What was last written, or would have been if it had not failed. */
  get file(): DiscoveryFile | undefined {
    return this.#last?.file;
  }

  /** Why the last write failed. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Something may have changed: look soon, once. */
  changed(): void {
    if (this.#stopped) return;
    const { clock } = this.#parts;
    const rested = clock.monotonic() - this.#endedAt > Math.max(REST_MS, 2 * this.#tookMs);
    const wait = rested ? 0 : Math.min(COALESCE_MOST_MS, Math.max(COALESCE_MS, 2 * this.#tookMs));
    this.#pending ??= setTimeout(() => {
      this.#pending = undefined;
      const began = clock.monotonic();
      this.#writing = this.#writing
        .then(() => this.#write())
        .finally(() => {
          this.#endedAt = clock.monotonic();
          this.#tookMs = this.#endedAt - began;
        });
    }, wait);
  }

  /** Whether the times in the file are due. */
  isDue(monotonicMs: number): boolean {
    return this.#last !== undefined && monotonicMs - this.#last.at >= REFRESH_MS;
  }

  /** A router that starts while the file is damaged would know no peer until the next change. */
  inspect(): void {
    this.#writing = this.#writing.then(() => this.#inspect());
  }

  /** No write begins after this. One that is under way goes on: see `settled`. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#pending);
  }

  /** Resolves when no write is under way. */
  settled(): Promise<void> {
    return this.#writing;
  }

  async #inspect(): Promise<void> {
    if (!this.#last || this.#last.material === '' || (await this.#file.isIntact())) return;
    this.#parts.warn('own file', `${this.#file.path} was changed by somebody else; it is written again`);
    this.#last = { ...this.#last, material: '' };
    this.changed();
  }

  async #write(): Promise<void> {
    const { clock, compose, log, warn, written } = this.#parts;
    const now = clock.monotonic();
    const file = compose(now);
    if (!file) return;
    const text = material(file);
    if (text === this.#last?.material && !this.isDue(now)) return;
    for (const { level, text: line } of changes(this.#last?.file, file)) log[level](line);
    try {
      await this.#file.write(`${JSON.stringify(file, undefined, 2)}\n`);
      this.#error = undefined;
      this.#last = { file, material: text, at: now };
    } catch (cause) {
      this.#error = explainWriteError(this.#file.path, cause as NodeJS.ErrnoException);
      warn('write', this.#error);
      // Empty material differs from everything, so it is written when it is next due.
      this.#last = { file, material: '', at: now - REFRESH_MS + RETRY_MS };
    }
    written();
  }
}
