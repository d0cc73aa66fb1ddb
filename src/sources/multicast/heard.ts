/**
 * Announcements in clear that were heard lately, by their bytes: most of what a group sends says what it said before, and reading it anew
 * costs several times what all the rest of a datagram does.
 */
import { type Decoded, decodeMessage } from './message.ts';

/** Groups larger than this send each announcement so seldom that little would be gained. */
const MAX_KEPT = 2000;
/** A usual announcement has 400 bytes. Larger ones are read each time, so that a flood of them takes no memory here. */
const MAX_BYTES = 1024;

export class Heard {
  #recent = new Map<string, Decoded>();
  #before = new Map<string, Decoded>();

  /** As `decodeMessage` without an envelope: what a datagram says follows from its bytes alone. */
  decode(datagram: Buffer): Decoded {
    if (datagram.length > MAX_BYTES) return decodeMessage(datagram);
    const text = datagram.toString('latin1');
    const known = this.#recent.get(text) ?? this.#before.get(text);
    const decoded = known ?? decodeMessage(datagram);
    if (decoded.ok && decoded.value.type === 'announce') this.#keep(text, decoded);
    return decoded;
  }

  /** What is not heard again until the next call is forgotten by it. */
  turn(): void {
    this.#before = this.#recent;
    this.#recent = new Map();
  }

  #keep(text: string, decoded: Decoded): void {
    if (this.#recent.size < MAX_KEPT) this.#recent.set(text, decoded);
  }
}
