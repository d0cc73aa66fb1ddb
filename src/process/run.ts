/** Runs a program with an argument vector and input; never a shell. */
import { spawn } from 'node:child_process';

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** ip, bridge and nft answer in milliseconds; 10,000 entries take two seconds. A minute means that the kernel is stuck. */
const TIMEOUT_MS = 60_000;

export class CommandError extends Error {
  readonly code: number;
  readonly stderr: string;
  constructor(argv: readonly string[], result: Result) {
    super(`${argv.join(' ')}: ${result.stderr.trim().split('\n')[0] || `exit status ${result.code}`}`);
    this.code = result.code;
    this.stderr = result.stderr;
  }
}

/** Never rejects for a non-zero exit status. @throws when the program cannot be started (ENOENT, EACCES). */
export async function run(argv: readonly [string, ...string[]], input = '', timeoutMs = TIMEOUT_MS): Promise<Result> {
  const [program, ...args] = argv;
  const child = spawn(program, args, { stdio: 'pipe', timeout: timeoutMs, killSignal: 'SIGKILL' });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  // EPIPE when the program ends before it has read everything: its exit status says why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve(status ?? 137));
  });
  return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}

/** @throws CommandError for a non-zero exit status. */
export async function runOk(argv: readonly [string, ...string[]], input = ''): Promise<string> {
  const result = await run(argv, input);
  if (result.code !== 0) throw new CommandError(argv, result);
  return result.stdout;
}
