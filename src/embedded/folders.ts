/** Where a run keeps its files, and which process is at work on them. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { identify, isRunning, type Tracked } from './processes.ts';
import type { Role } from './topology.ts';

/** On a tmpfs: a reboot ends the processes and the namespaces, and this with them. */
export const STATE_ROOT = '/run/docker-router-quickstart';
const LOGS = 'logs';

export const rootOf = (prefix: string) => join(STATE_ROOT, prefix);
export const logFolder = (prefix: string) => join(rootOf(prefix), LOGS);
export const logOf = (prefix: string, name: string) => join(logFolder(prefix), `${name}.log`);
/** A file per process that was started. */
export const processFolder = (prefix: string) => join(rootOf(prefix), 'processes');
/** Copies of the bundles, so that a later build does not pull the files from under running processes. */
export const programFolder = (prefix: string) => join(rootOf(prefix), 'programs');
/** What the two daemons of a stack share: in Docker, the volume. */
export const volumeOf = (prefix: string, stack: string) => join(rootOf(prefix), stack);
export const healthFileOf = (prefix: string, stack: string, role: Role) =>
  join(rootOf(prefix), 'health', `${stack}-${role}`);

const ownerFile = (prefix: string) => join(rootOf(prefix), 'owner.json');

/** The process that is at work on this prefix right now, if it is another one than this. */
export function activeOwner(prefix: string): Tracked | undefined {
  try {
    const owner = JSON.parse(readFileSync(ownerFile(prefix), 'utf8')) as Tracked;
    return owner.pid !== process.pid && isRunning(owner) ? owner : undefined;
  } catch {
    // None, or cut off in the middle of the write: whoever wrote it is gone.
    return undefined;
  }
}

/** @throws Error when another process is at work on the prefix. */
export function refuseWhenBusy(prefix: string): void {
  const owner = activeOwner(prefix);
  if (owner) throw new Error(`another run is at work here; wait for it, or end it with: kill ${owner.pid}`);
}

/** Takes the prefix for this process, until it ends or removes the files. @throws Error when another one is at work on it. */
export function claim(prefix: string): void {
  refuseWhenBusy(prefix);
  mkdirSync(rootOf(prefix), { recursive: true });
  writeFileSync(ownerFile(prefix), JSON.stringify(identify(process.pid)));
}

/** Removes the files of a prefix, or all but its logs, for somebody who has yet to read them. */
export function removeFiles(prefix: string, keepLogs: boolean): void {
  const root = rootOf(prefix);
  if (keepLogs) {
    for (const name of readdirSync(root)) {
      if (name !== LOGS) rmSync(join(root, name), { recursive: true, force: true });
    }
    return;
  }
  rmSync(root, { recursive: true, force: true });
  try {
    rmdirSync(STATE_ROOT);
  } catch {
    // Another prefix is still there.
  }
}
