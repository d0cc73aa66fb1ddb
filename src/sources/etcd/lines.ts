/** A byte stream -> its lines, each of at most `maxBytes`. */
import { EtcdTrouble } from './trouble.ts';

const NEWLINE = 0x0a;

export class LineSplitter {
  readonly #maxBytes: number;
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that `chunk` completes, without the empty ones. @throws EtcdTrouble when a line is too long. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let begin = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, begin)) {
      const line = Buffer.concat([...this.#rest, chunk.subarray(begin, end)]).toString('utf8');
      this.#rest = [];
      this.#restBytes = 0;
      if (line !== '') lines.push(line);
      begin = end + 1;
    }
    if (begin < chunk.length) {
      this.#rest.push(chunk.subarray(begin));
      this.#restBytes += chunk.length - begin;
    }
    if (this.#restBytes > this.#maxBytes)
      throw new EtcdTrouble('too large', `sends a line of more than ${this.#maxBytes} bytes`);
    return lines;
  }
}
