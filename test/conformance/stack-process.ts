/** A stack in a process of its own: it can be killed without a goodbye, and shows whether `stop` leaves anything open. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { StackRecord } from '../../src/record/record.ts';
import type { Doomed, Ended } from './harness.ts';

const MAIN = fileURLToPath(new URL('./stack-main.ts', import.meta.url));
const END_MS = 5000;

export interface StackOrder {
  /** URL of a module that exports `createSource(options, record): Source`. */
  readonly module: string;
  readonly options: unknown;
  readonly record: StackRecord;
}

async function ended(child: ChildProcess, withinMs: number): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const timeout = AbortSignal.timeout(withinMs);
  return once(child, 'exit', { signal: timeout }).then(
    ([code]) => code as number | null,
    () => null,
  );
}

/** Kills the process with all that it has started. */
async function killGroup(child: ChildProcess): Promise<void> {
  try {
    process.kill(-child.pid!, 'SIGKILL');
  } catch {
    // It ended before.
  }
  await ended(child, END_MS);
}

async function stopped(child: ChildProcess): Promise<Ended> {
  const answer = once(child, 'message');
  child.send('stop');
  const [{ stopMs }] = (await answer) as [{ stopMs: number }];
  return { stopMs, code: await ended(child, END_MS) };
}

/** Starts `module`'s source for `record` in a process group of its own. Resolves when the source is started and published. */
export async function spawnStack(order: StackOrder): Promise<Doomed> {
  const child = fork(MAIN, [], { detached: true, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const end = () => void process.kill(-child.pid!, 'SIGKILL');
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
  child.send(order);
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the stack's process ended with ${code}`))),
  ]);
  return { kill: () => killGroup(child), stop: () => stopped(child) };
}
