/**
 * The main job, inside a kernel that kernel.sh booted: two hosts, three stacks, every path between their services over TCP, across hosts
 * and on one host; then what a kernel might do otherwise: a router's process dies and traffic goes on, damage is healed, everything ends.
 * Prints one line of JSON a step.
 */
import { release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { logTail } from '../../src/embedded/daemons.ts';
import { up } from '../../src/embedded/embedded.ts';
import { logOf, processFolder } from '../../src/embedded/folders.ts';
import { type Endpoint, measurePath, orderedPairs } from '../../src/embedded/paths.ts';
import { recorded, signalProcess } from '../../src/embedded/processes.ts';
import { untilReady } from '../../src/embedded/readiness.ts';
import { quickstartTopology } from '../../src/embedded/topology.ts';
import { runOk } from '../../src/process/run.ts';

const PREFIX = 'krn';
/** An emulated processor is some twenty times slower than a real one. */
const PATIENCE_MS = 120_000;

const say = (step: string, what: object = {}) => process.stdout.write(`${JSON.stringify({ step, ...what })}\n`);

async function measureAll(endpoints: readonly Endpoint[]): Promise<number> {
  let connected = 0;
  for (const path of orderedPairs(endpoints)) {
    const outcome = await measurePath(PREFIX, path);
    if (outcome.ok) connected += 1;
    const mbit = outcome.ok ? Math.round(outcome.bitsPerSecond / 1e6) : undefined;
    say('path', {
      from: path.from.stack,
      to: path.to.stack,
      ok: outcome.ok,
      mbit,
      ...('error' in outcome && { error: outcome.error }),
    });
  }
  return connected;
}

async function healed(namespace: string, pattern: RegExp): Promise<boolean> {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    if (pattern.test(await runOk(['ip', '-n', namespace, 'route', 'show']))) return true;
    await sleep(200);
  }
  return false;
}

const topology = quickstartTopology(PREFIX, { RESYNC_INTERVAL: '2s' });
say('kernel', { release: release() });
const endpoints = await up(topology);
try {
  await untilReady(topology, { withinMs: PATIENCE_MS });
  const paths = await measureAll(endpoints);
  // stack-a and stack-c are on one host: the kernel hands a VXLAN packet straight from the one device to the other.
  const local = endpoints.filter(({ host }) => host === 'host-1');
  const router = recorded(processFolder(PREFIX), 'stack-a-router')!;
  signalProcess(router, 'SIGSTOP');
  const without = await measureAll(local);
  await runOk(['ip', '-n', `${PREFIX}-stack-a-router`, 'route', 'del', '172.29.0.0/24']);
  signalProcess(router, 'SIGCONT');
  const repaired = await healed(`${PREFIX}-stack-a-router`, /172\.29\.0\.0\/24 via 172\.29\.0\.2 dev vxlan0/);
  say('result', { paths, without, repaired });
  process.exitCode = paths === 6 && without === 2 && repaired ? 0 : 1;
} finally {
  if (process.exitCode !== 0) {
    for (const name of topology.stacks.flatMap((stack) => [`${stack.name}-discovery`, `${stack.name}-router`]))
      say('log', { name, lines: logTail(logOf(PREFIX, name), 12) });
  }
  // Nothing is taken down: the machine ends with this process.
}
