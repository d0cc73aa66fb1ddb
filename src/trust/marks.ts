/**
 * How far each sender has come, so that nothing is accepted twice: also after this process was killed, since each step is appended to a file
 * before the message counts. The file is rewritten when most of it is old.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, renameSync, statSync, writeFileSync, writeSync } from 'node:fs';

export interface Mark {
  readonly boot: number;
  readonly number: number;
}

/** The least recently heard senders beyond this many are forgotten; the time window still holds for them. */
const MAX_SENDERS = 20_000;
const MAX_FILE_BYTES = 8 * 1024 * 1024;
/** The file is rewritten when it has this many lines more than twice what is needed. */
const SLACK_LINES = 4096;

export const isLater = (a: Mark, b: Mark) => (a.boot !== b.boot ? a.boot > b.boot : a.number > b.number);

/** Names of senders are long and come from peers. */
const keyOf = (sender: string) => createHash('sha256').update(sender).digest('base64url').slice(0, 16);
const lineOf = (key: string, { boot, number }: Mark) => `${key} ${boot.toString(36)} ${number.toString(36)}\n`;

export class Marks {
  readonly #path: string | undefined;
  readonly #newest = new Map<string, Mark>();
  #file: number | undefined;
  #lines = 0;

  /** Reads what was kept. `path` undefined: kept in memory only. @throws when the file cannot be read or written. */
  constructor(path: string | undefined) {
    this.#path = path;
    if (path === undefined) return;
    for (const line of textOf(path).split('\n')) {
      const [, key, boot, number] = /^([\w-]{16}) ([0-9a-z]{1,11}) ([0-9a-z]{1,11})$/.exec(line) ?? [];
      if (key) this.#set(key, { boot: Number.parseInt(boot!, 36), number: Number.parseInt(number!, 36) });
    }
    this.#rewrite();
  }

  get size(): number {
    return this.#newest.size;
  }

  newest(sender: string): Mark | undefined {
    return this.#newest.get(keyOf(sender));
  }

  /** @throws when the volume is full. */
  advance(sender: string, mark: Mark): void {
    const key = keyOf(sender);
    this.#set(key, mark);
    if (this.#file === undefined) return;
    writeSync(this.#file, lineOf(key, mark));
    this.#lines += 1;
    if (this.#lines > 2 * this.#newest.size + SLACK_LINES) this.#rewrite();
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #set(key: string, mark: Mark): void {
    // Put behind the others: the first are then the least recently heard.
    this.#newest.delete(key);
    this.#newest.set(key, mark);
    if (this.#newest.size <= MAX_SENDERS) return;
    const [oldest] = this.#newest.keys();
    this.#newest.delete(oldest!);
  }

  #rewrite(): void {
    this.close();
    const text = [...this.#newest].map(([key, mark]) => lineOf(key, mark)).join('');
    writeFileSync(`${this.#path}.tmp`, text, { mode: 0o600 });
    renameSync(`${this.#path}.tmp`, this.#path!);
    this.#file = openSync(this.#path!, 'a', 0o600);
    this.#lines = this.#newest.size;
  }
}

function textOf(path: string): string {
  try {
    if (statSync(path).size > MAX_FILE_BYTES) return '';
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw cause;
  }
}
