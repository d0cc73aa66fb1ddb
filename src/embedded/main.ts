/** Entry of `scripts/quickstart.sh`, which has seen to Node, the packages and root. */
import { check, end, run, UnableError } from './quickstart.ts';
import { Interrupted, openSession, readOptions, type Session } from './session.ts';

/** sysexits.h: EX_USAGE, EX_UNAVAILABLE. */
const EXIT_USAGE = 64;
const EXIT_UNAVAILABLE = 69;

function session(): Session {
  try {
    return openSession(readOptions(process.argv.slice(2), process.env));
  } catch (cause) {
    process.stderr.write(`quickstart: ${(cause as Error).message}; see ./scripts/quickstart.sh --help\n`);
    process.exit(EXIT_USAGE);
  }
}

function exitStatus(cause: unknown): number {
  if (cause instanceof Interrupted) return cause.exitStatus;
  return cause instanceof UnableError ? EXIT_UNAVAILABLE : 1;
}

const current = session();
try {
  process.exitCode = await { run, check, down: end }[current.command](current);
} catch (thrown) {
  // A step that a signal cut short fails in many ways; the signal is the reason.
  const cause = current.signal.aborted ? current.signal.reason : thrown;
  const known = cause instanceof Interrupted || cause instanceof UnableError;
  process.stderr.write(`quickstart: ${(cause as Error).message}\n`);
  if (!known && process.env.DEBUG) process.stderr.write(`${(cause as Error).stack}\n`);
  process.exitCode = exitStatus(cause);
}
