/** Argument vectors as text for a POSIX shell: ssh joins its arguments with blanks and hands them to the remote shell. Pure. */

const PLAIN = /^[A-Za-z0-9_@%+:,./-]+$/;

/** One word that a shell reads as exactly `text`. @throws for NUL, which no argument can hold. */
export function quoteWord(text: string): string {
  if (text.includes('\0')) throw new Error('an argument cannot hold a NUL');
  if (PLAIN.test(text)) return text;
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A command line that a shell reads as exactly `argv`. */
export function quoteCommand(argv: readonly string[]): string {
  return argv.map(quoteWord).join(' ');
}
