/** How init knows its own file again, and whether somebody has edited it since. Pure. */
import { hash64 } from '../../net/hash.ts';

const MARK = /^# Written by docker-router init \(([0-9a-f]{16})\)/m;

/** The text with our mark on its first line, which holds a hash of the rest. */
export function marked(body: string): string {
  return `# Written by docker-router init (${hash64(body)}); run it again to bring it up to date.\n${body}`;
}

export function isOurs(text: string): boolean {
  return MARK.test(text.slice(0, 200));
}

export function isEdited(text: string): boolean {
  const found = MARK.exec(text.slice(0, 200));
  return found !== null && found[1] !== hash64(text.slice(text.indexOf('\n') + 1));
}
