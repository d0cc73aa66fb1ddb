/** The paths between services, measured from inside their network namespaces by `probe.ts`. */
import { readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { transform } from 'esbuild';
import * as v from 'valibot';
import { parseJson } from '../record/record.ts';
import { logFolder, logOf, processFolder, programFolder } from './folders.ts';
import { LongRunError, runLong } from './long-run.ts';
import type { Measured } from './probe.ts';
import { isRunning, launch, type Tracked } from './processes.ts';

/** Where the probe's servers listen: free in any container that is not itself a Docker Router quickstart. */
export const PROBE_PORT = 7080;
/** Generous: one that ends is noticed at once, and an emulated or busy processor takes its time. */
const LISTEN_MS = 60_000;
const POLL_MS = 20;
/** The client gives up by itself after a few seconds; this is for one that hangs. */
const MEASURE_MS = 60_000;

/** A service container, or the namespace that stands for one. */
export interface Endpoint {
  readonly stack: string;
  /** Where the stack runs, for people. */
  readonly host: string;
  readonly address: string;
  /** The argument vector in front of a command that shall run there. */
  readonly enter: readonly [string, ...string[]];
}

export interface Path {
  readonly from: Endpoint;
  readonly to: Endpoint;
}

export type Outcome = ({ readonly ok: true } & Measured) | { readonly ok: false; readonly error: string };

/** Every ordered pair of different endpoints. */
export function orderedPairs(endpoints: readonly Endpoint[]): Path[] {
  return endpoints.flatMap((from) => endpoints.filter((to) => to !== from).map((to) => ({ from, to })));
}

export const probeProgram = (prefix: string) => join(programFolder(prefix), 'probe.mjs');
export const serverName = (stack: string) => `${stack}-service`;

/** Writes the probe as plain JavaScript: tsx would take longer to start than most measurements. */
async function installProbe(prefix: string): Promise<void> {
  const source = await readFile(new URL('probe.ts', import.meta.url), 'utf8');
  const { code } = await transform(source, { loader: 'ts', format: 'esm', target: 'node20' });
  await mkdir(programFolder(prefix), { recursive: true });
  await writeFile(probeProgram(prefix), code);
}

async function launchServer(prefix: string, { stack, enter }: Endpoint): Promise<Tracked> {
  const name = serverName(stack);
  const log = logOf(prefix, name);
  await mkdir(logFolder(prefix), { recursive: true });
  await writeFile(log, '');
  return launch(processFolder(prefix), {
    name,
    argv: [...enter, process.execPath, probeProgram(prefix), 'serve', String(PROBE_PORT), stack],
    environment: { PATH: process.env.PATH },
    log,
  });
}

/** Starts the server of each endpoint and waits until all listen. @throws Error when one ends first. */
export async function startServers(
  prefix: string,
  endpoints: readonly Endpoint[],
  signal?: AbortSignal,
): Promise<void> {
  await installProbe(prefix);
  const servers: { tracked: Tracked; stack: string }[] = [];
  // One after the other: whoever cleans up after a failure must not find one that is only about to start.
  for (const endpoint of endpoints) {
    signal?.throwIfAborted();
    servers.push({ tracked: await launchServer(prefix, endpoint), stack: endpoint.stack });
  }
  const deadline = Date.now() + LISTEN_MS;
  for (const { tracked, stack } of servers) {
    const said = () => readFileSync(logOf(prefix, serverName(stack)), 'utf8');
    while (!said().includes('listens')) {
      if (!isRunning(tracked) || Date.now() > deadline) {
        throw new Error(`the test server of ${stack} did not start: ${said().trim() || 'it said nothing'}`);
      }
      await sleep(POLL_MS, undefined, signal ? { signal } : {});
    }
  }
}

/** Words for what the client reports, since ECONNREFUSED says little to a person. */
export function explain(error: string): string {
  if (error.includes('ECONNREFUSED')) return 'connection refused: nothing listens there';
  if (/EHOSTUNREACH|ENETUNREACH/.test(error)) return 'no route to it';
  if (/ECONNRESET|EPIPE/.test(error)) return 'the connection broke';
  if (error.includes('ETIMEDOUT')) return 'no answer';
  return error;
}

const MAX_PRINTED_BYTES = 4096;
const PrintedSchema = v.union([
  v.object({ error: v.string() }),
  v.object({ server: v.string(), seenAs: v.string(), roundTripMs: v.number(), bitsPerSecond: v.number() }),
]);

/** What the client printed -> outcome. A path that ends in the wrong stack is no path. */
export function outcomeOf(stdout: string, expectedServer: string): Outcome {
  const parsed = parseJson(PrintedSchema, stdout, MAX_PRINTED_BYTES);
  if (!parsed.ok) return { ok: false, error: 'the test client ended without a result' };
  const printed = parsed.value;
  if ('error' in printed) return { ok: false, error: explain(printed.error) };
  if (printed.server === expectedServer) return { ok: true, ...printed };
  return { ok: false, error: `${printed.server} answered instead` };
}

/** The command that measures a path, as a person would type it. */
export function measureCommand(prefix: string, { from, to }: Path): [string, ...string[]] {
  return [...from.enter, process.execPath, probeProgram(prefix), 'measure', to.address, String(PROBE_PORT)];
}

/** Measures one path. @throws only when `signal` is aborted. */
export async function measurePath(prefix: string, path: Path, signal?: AbortSignal): Promise<Outcome> {
  try {
    const stdout = await runLong(measureCommand(prefix, path), { withinMs: MEASURE_MS, signal });
    return outcomeOf(stdout, path.to.stack);
  } catch (cause) {
    if (cause instanceof LongRunError) return outcomeOf(cause.stdout, path.to.stack);
    throw cause;
  }
}
