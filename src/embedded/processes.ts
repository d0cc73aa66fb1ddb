/** Processes that outlive this one, recorded so that exactly these are ended, and never another that got the same number. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Environment } from './topology.ts';

export interface Tracked {
  readonly pid: number;
  /** Clock ticks between boot and the start of the process: with the pid it names a process for as long as the machine runs. */
  readonly startTime: string;
}

export interface Launch {
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  readonly environment: Environment;
  readonly log: string;
}

/** A daemon stops within a second by itself. */
const TERM_MS = 3000;
/** A killed one is gone at once, unless the machine itself stands still. */
const KILL_MS = 30_000;
const POLL_MS = 20;

/** State and start time from /proc/PID/stat, proc(5). The command's name stands in parentheses and may hold any character. */
export function parseStat(text: string): { state: string; startTime: string } {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', startTime: fields[19] ?? '' };
}

/** undefined when there is no such process, or only its exit status is left. */
export function identify(pid: number): Tracked | undefined {
  try {
    const { state, startTime } = parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    return state === 'Z' || state === 'X' ? undefined : { pid, startTime };
  } catch {
    return undefined;
  }
}

export function isRunning({ pid, startTime }: Tracked): boolean {
  return identify(pid)?.startTime === startTime;
}

const recordOf = (folder: string, name: string) => join(folder, `${name}.json`);

/** Starts a process that stays when this one ends; its output goes to the log. @throws Error when it cannot be started. */
export function launch(folder: string, { name, argv, environment, log }: Launch): Tracked {
  mkdirSync(folder, { recursive: true });
  const [program, ...args] = argv;
  const output = openSync(log, 'a');
  let child: ChildProcess;
  try {
    // A session of its own: Ctrl-C on the terminal is for whoever started it, who then ends it in order.
    child = spawn(program, args, { detached: true, stdio: ['ignore', output, output], env: environment });
  } finally {
    closeSync(output);
  }
  child.on('error', () => undefined);
  child.unref();
  const tracked = child.pid === undefined ? undefined : identify(child.pid);
  if (!tracked) throw new Error(`${name} cannot be started: ${argv.join(' ')}`);
  writeFileSync(recordOf(folder, name), JSON.stringify(tracked));
  return tracked;
}

/** What is recorded under a name; undefined when nothing is. */
export function recorded(folder: string, name: string): Tracked | undefined {
  try {
    return JSON.parse(readFileSync(recordOf(folder, name), 'utf8')) as Tracked;
  } catch {
    return undefined;
  }
}

export function recordedNames(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .map((file) => basename(file, '.json'));
  } catch {
    return [];
  }
}

/** Sends a signal, if it is still that process. */
export function signalProcess(tracked: Tracked, signal: NodeJS.Signals): void {
  if (!isRunning(tracked)) return;
  try {
    process.kill(tracked.pid, signal);
  } catch {
    // It ended in between.
  }
}

async function untilEnded(all: readonly Tracked[], withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (all.some(isRunning)) {
    if (Date.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Ends a process without a word; it is gone afterwards, and what is started under its name then is another. @throws Error when it stays. */
export async function killProcess(tracked: Tracked): Promise<void> {
  signalProcess(tracked, 'SIGKILL');
  if (!(await untilEnded([tracked], KILL_MS))) throw new Error(`process ${tracked.pid} is not gone after SIGKILL`);
}

/** Ends the recorded processes, by SIGTERM and then by SIGKILL, and forgets them. */
export async function endProcesses(folder: string, names = recordedNames(folder)): Promise<void> {
  const all = names.flatMap((name) => recorded(folder, name) ?? []);
  for (const tracked of all) signalProcess(tracked, 'SIGTERM');
  if (!(await untilEnded(all, TERM_MS))) {
    for (const tracked of all) signalProcess(tracked, 'SIGKILL');
    await untilEnded(all, KILL_MS);
  }
  for (const name of names) rmSync(recordOf(folder, name), { force: true });
}
