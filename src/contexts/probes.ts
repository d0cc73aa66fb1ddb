/** The stand-in for a service: a container in the stack's network that others can reach, and that reaches others. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Outcome, outcomeOf, PROBE_PORT } from '../embedded/paths.ts';
import { command, lastWords } from './command.ts';
import { ROUTER_IMAGE } from './images.ts';
import { bundleProgram, evaluate, runProgram } from './programs.ts';
import type { Stack } from './stack-life.ts';

const ANSWER_MS = 30_000;
const LISTEN_MS = 15_000;
const POLL_MS = 100;
/** The client gives up by itself after some seconds; this is for one that hangs. */
const MEASURE_MS = 40_000;

export interface Probe {
  readonly stack: Stack;
  readonly container: string;
  readonly address: string;
}

export const probeProgram = (): Promise<string> => bundleProgram(new URL('../embedded/probe.ts', import.meta.url));

/** Starts the probe of a stack and waits until it listens. @throws CommandFailed, HostLost, Error */
export async function startProbe(stack: Stack, program: string): Promise<Probe> {
  const { host, facts, project } = stack;
  const name = `docker-router-probe-${project}`;
  // One of an earlier run that was killed.
  await host.docker(['rm', '--force', name], { withinMs: ANSWER_MS }).catch(() => host.signal.throwIfAborted());
  const options = ['--detach', '--name', name, '--network', facts.network, '--user', '65534'];
  const argv = runProgram(ROUTER_IMAGE, program, options, ['serve', String(PROBE_PORT), facts.stackId]);
  const container = (await host.docker(argv, { withinMs: ANSWER_MS })).trim();
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
  const address = (await host.docker(['inspect', '--format', format, container], { withinMs: ANSWER_MS })).trim();
  const deadline = performance.now() + LISTEN_MS;
  while (!(await host.docker(['logs', container], { withinMs: ANSWER_MS })).includes('listens')) {
    if (performance.now() > deadline) throw new Error('the test server does not listen');
    await sleep(POLL_MS);
  }
  return { stack, container, address };
}

/** Measures one path with real TCP: connects, sends and compares, measures. @throws HostLost, the caller's reason */
export async function measure(from: Probe, to: Probe, program: string): Promise<Outcome> {
  const { host } = from.stack;
  const node = ['node', ...evaluate(program, ['measure', to.address, String(PROBE_PORT)])];
  const argv = host.argv(['exec', from.container, ...node]);
  const { signal, environment } = host;
  const { stdout, stderr } = await command(argv, { withinMs: MEASURE_MS, signal, environment });
  return stdout
    ? outcomeOf(stdout, to.stack.facts.stackId)
    : { ok: false, error: lastWords(stderr) || 'the test client ended without a result' };
}
