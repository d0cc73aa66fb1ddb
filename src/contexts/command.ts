/** Programs that may take long, need an end from outside, or stream: ssh, docker. Never a shell. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export type Argv = readonly [string, ...string[]];

export interface CommandOptions {
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly environment?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly input?: string | Readable;
  /** Each line of its standard error, for people who wait. */
  readonly onLine?: (line: string) => void;
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What somebody waits for in vain is ended politely first: Compose then undoes what it had half made. */
const GRACE_MS = 1500;
const MAX_OUTPUT_BYTES = 32 * 1024 * 1024;

export class CommandFailed extends Error {
  readonly stdout: string;
  readonly stderr: string;
  constructor(argv: Argv, { code, stdout, stderr }: Ended) {
    super(lastWords(stderr) || lastWords(stdout) || `${argv[0]} ended with exit status ${code}`);
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

/** The line that says most: programs end with the reason, except where the end only says that there was one. */
export function lastWords(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '' && !/^(\W*exit status \d+\W*|See '.*)$/.test(line)).at(-1) ?? '';
}

/** Ends a program and all that it started: it leads a process group of its own. */
export function end(child: ChildProcess, how: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, how);
  } catch {
    // It is gone already.
  }
}

/**
 * A process group of its own, so that Ctrl-C reaches this program alone, which then decides what ends and in which order.
 * Whoever starts it ends it.
 */
export function launch(argv: Argv, environment: NodeJS.ProcessEnv = process.env, cwd?: string): ChildProcess {
  const [program, ...args] = argv;
  return spawn(program, args, { stdio: 'pipe', detached: true, env: environment, ...(cwd && { cwd }) });
}

function collect(stream: Readable, onLine?: (line: string) => void): () => string {
  let text = '';
  let seen = 0;
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    if (text.length < MAX_OUTPUT_BYTES) text += chunk;
    if (!onLine) return;
    const end = text.lastIndexOf('\n');
    if (end > seen) {
      onLine(lastWords(text.slice(seen, end)));
      seen = end;
    }
  });
  return () => text;
}

/** Runs to the end whatever that is. @throws the signal's reason, or an Error when it cannot be started or takes too long. */
export async function command(argv: Argv, options: CommandOptions): Promise<Ended> {
  const { withinMs, signal, environment, cwd, input = '', onLine } = options;
  signal?.throwIfAborted();
  const child = launch(argv, environment, cwd);
  const stdout = collect(child.stdout!);
  const stderr = collect(child.stderr!, onLine);
  if (typeof input === 'string') {
    // EPIPE when the program ends before it has read everything: its exit status says why.
    child.stdin!.on('error', () => undefined).end(input);
  } else pipeline(input, child.stdin!).catch(() => undefined);
  let late = false;
  const stop = () => {
    end(child, 'SIGTERM');
    setTimeout(() => end(child, 'SIGKILL'), GRACE_MS).unref();
  };
  const timer = setTimeout(() => {
    late = true;
    stop();
  }, withinMs);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => resolve(status ?? 137));
    });
    signal?.throwIfAborted();
    if (late) throw new Error(`no answer within ${Math.round(withinMs / 1000)} s`);
    return { code, stdout: stdout(), stderr: stderr() };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

/** What it printed. @throws CommandFailed for another exit status than 0, and what `command` throws. */
export async function commandOk(argv: Argv, options: CommandOptions): Promise<string> {
  const ended = await command(argv, options);
  if (ended.code !== 0) throw new CommandFailed(argv, ended);
  return ended.stdout;
}
