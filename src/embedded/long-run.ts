/** Runs a program that may take long: ended when the user gives up, and its last words kept for when it fails. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** The first lines of a failure often name the cause, the last ones the consequence. */
const EDGE_LINES = 6;

export interface LongRun {
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly cwd?: string;
  /** Added to this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

function edges(output: string): string[] {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  if (lines.length <= 2 * EDGE_LINES) return lines;
  return [...lines.slice(0, EDGE_LINES), '...', ...lines.slice(-EDGE_LINES)];
}

export class LongRunError extends Error {
  readonly stdout: string;
  constructor(argv: readonly string[], stdout: string, stderr: string) {
    super([`${argv.join(' ')} failed`, ...edges(`${stdout}\n${stderr}`)].join('\n  '));
    this.stdout = stdout;
  }
}

/** What it printed on stdout. @throws LongRunError when it fails or takes too long; the signal's reason when that is aborted. */
export async function runLong(argv: readonly [string, ...string[]], options: LongRun): Promise<string> {
  const [program, ...args] = argv;
  const { withinMs: timeout, signal, cwd, environment } = options;
  try {
    const { stdout } = await promisify(execFile)(program, args, {
      timeout,
      maxBuffer: MAX_OUTPUT_BYTES,
      env: { ...process.env, ...environment },
      ...(signal && { signal }),
      ...(cwd && { cwd }),
    });
    return stdout;
  } catch (cause) {
    signal?.throwIfAborted();
    const { stdout = '', stderr = '', message } = cause as Error & { stdout?: string; stderr?: string };
    throw new LongRunError(argv, stdout, stderr || message);
  }
}
