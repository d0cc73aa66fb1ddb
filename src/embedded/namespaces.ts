/** Network namespaces: made, entered, removed. Everything is created inside them; the machine's own namespace stays as it is. */
import { readdir } from 'node:fs/promises';
import { CommandError, run, runOk } from '../process/run.ts';
import { batches, forwardingNamespaces } from './layout.ts';
import { belongsTo, namespaceNames, type Topology } from './topology.ts';

const NAMESPACE_FOLDER = '/run/netns';
const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

export const handleOf = (namespace: string) => `${NAMESPACE_FOLDER}/${namespace}`;

/** The argument vector that runs `argv` inside a namespace. */
export function inside(namespace: string, argv: readonly string[]): [string, ...string[]] {
  return ['ip', 'netns', 'exec', namespace, ...argv];
}

/** Runs `ip -batch` lines inside a namespace. @throws CommandError with the line that the kernel refused. */
export async function configure(namespace: string, lines: readonly string[]): Promise<void> {
  const argv = ['ip', '-n', namespace, '-batch', '-'] as const;
  const result = await run(argv, `${lines.join('\n')}\n`);
  if (result.code === 0) return;
  const number = /^Command failed .*:(\d+)$/m.exec(result.stderr)?.[1];
  throw new CommandError(['ip', '-n', namespace, lines[Number(number) - 1] ?? '-batch'], result);
}

/** @throws CommandError when the kernel has no writable /proc/sys for the namespace. */
export async function switchForwardingOn(namespace: string): Promise<void> {
  // /proc/sys/net shows the namespace of whoever opens it, so a program inside has to.
  await runOk(inside(namespace, ['tee', FORWARDING]), '1');
}

/** Namespaces of a prefix that are there now. */
export async function existingNamespaces(prefix: string): Promise<string[]> {
  const names = await readdir(NAMESPACE_FOLDER).catch(() => []);
  return names.filter((name) => belongsTo(prefix, name)).sort();
}

/** Makes every namespace of a topology and what is in it. @throws CommandError; what was made until then stays. */
export async function createNamespaces(topology: Topology, signal?: AbortSignal): Promise<void> {
  for (const name of namespaceNames(topology)) {
    signal?.throwIfAborted();
    await runOk(['ip', 'netns', 'add', name]);
  }
  for (const { namespace, lines } of batches(topology)) {
    signal?.throwIfAborted();
    await configure(namespace, lines);
  }
  for (const name of forwardingNamespaces(topology)) await switchForwardingOn(name);
}

/** Removes every namespace of a prefix, and with them their links, routes and rules. */
export async function deleteNamespaces(prefix: string): Promise<void> {
  for (const name of await existingNamespaces(prefix)) {
    // Refused when Ctrl-C on the terminal has ended the command too; whoever calls looks again.
    await run(['ip', 'netns', 'delete', name]);
  }
}
