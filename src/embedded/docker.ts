/** The run on a Docker Engine: the stacks of `examples/multi-stack`, all on the one engine, measured from inside their service containers. */
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { REPOSITORY } from './daemons.ts';
import { LongRunError, runLong } from './long-run.ts';
import { type Endpoint, startServers } from './paths.ts';
import { routedSubnets, unhealthy } from './readiness.ts';
import { rememberWorld } from './world.ts';

const LETTERS = ['a', 'b', 'c'] as const;
type Letter = (typeof LETTERS)[number];

const ANSWER_MS = 5000;
/** A base image takes seconds where there is a registry; where there is none this is how long it may take to say so. */
const PULL_MS = 45_000;
const BUILD_MS = 600_000;
const UP_MS = 120_000;
const READY_MS = 60_000;
const POLL_MS = 200;
/** What the services of the examples run, unless TEST_IMAGE says otherwise. */
const TEST_IMAGE = 'nginx:alpine';

/** Images that a Dockerfile starts from, its build arguments at their defaults or as given; its own stages are none. */
export function baseImages(dockerfile: string, given: Readonly<Record<string, string | undefined>> = {}): string[] {
  const values = new Map<string, string>();
  const stages = new Set<string>();
  const images = new Set<string>();
  for (const line of dockerfile.split('\n')) {
    const argument = /^ARG\s+(\w+)=(\S+)/i.exec(line);
    if (argument) values.set(argument[1]!, given[argument[1]!] ?? argument[2]!);
    const from = /^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?/i.exec(line);
    if (!from) continue;
    const image = from[1]!.replace(/\$\{?(\w+)\}?/g, (_, name: string) => values.get(name) ?? '');
    if (!stages.has(image)) images.add(image);
    if (from[2]) stages.add(from[2]);
  }
  return [...images];
}

type Succeeds = (argv: [string, ...string[]], withinMs: number) => Promise<boolean>;

const quietly =
  (signal?: AbortSignal): Succeeds =>
  (argv, withinMs) =>
    runLong(argv, { withinMs, signal }).then(
      () => true,
      (cause) => {
        if (cause instanceof LongRunError) return false;
        throw cause;
      },
    );

/** Why Docker is not used, in words; undefined when it can be. */
export async function dockerMissing(signal?: AbortSignal): Promise<string | undefined> {
  const succeeds = quietly(signal);
  const engine = await runLong(['docker', 'info', '--format', '{{.Name}}'], { withinMs: ANSWER_MS, signal }).catch(
    () => '',
  );
  signal?.throwIfAborted();
  if (engine.trim() === '') return 'no Docker Engine here';
  // The probes enter the containers' namespaces by process id, which only works beside them.
  if (engine.trim() !== hostname()) return 'the Docker Engine runs on another machine';
  if (!(await succeeds(['docker', 'compose', 'version'], ANSWER_MS))) return 'Docker Compose v2 is not installed';
  const dockerfile = await readFile(join(REPOSITORY, 'router', 'Dockerfile'), 'utf8').catch(() => '');
  for (const image of [...baseImages(dockerfile, process.env), process.env.TEST_IMAGE ?? TEST_IMAGE]) {
    const present = await succeeds(['docker', 'image', 'inspect', image], ANSWER_MS);
    if (!present && !(await succeeds(['docker', 'pull', '--quiet', image], PULL_MS)))
      return `no image ${image} here, and no registry that has it`;
  }
  return undefined;
}

/** A network and a port of its own: stacks in earnest use on the network of this machine must not meet these. */
const APART = ['VNI=7357', 'DISCOVERY_PORT=47900'];

/** The command of one stack, under a project name of our own, so that a user's own run of the example stays as it is. */
function compose(prefix: string, letter: Letter, ...args: string[]): [string, ...string[]] {
  const file = join(REPOSITORY, 'examples', 'multi-stack', `docker-compose.stack-${letter}.yml`);
  const project = ['-p', `${prefix}-stack-${letter}`, '-f', file];
  return ['env', `STACK_ID=stack-${letter}`, ...APART, 'docker', 'compose', ...project, ...args];
}

async function serviceEndpoint(prefix: string, letter: Letter, signal?: AbortSignal): Promise<Endpoint> {
  const options = { withinMs: ANSWER_MS, signal };
  const id = (await runLong(compose(prefix, letter, 'ps', '-q', `test-${letter}`), options)).trim();
  const format = '{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
  const [pid, address] = (await runLong(['docker', 'inspect', '--format', format, id], options)).trim().split(' ');
  return {
    stack: `stack-${letter}`,
    host: hostname(),
    address: address ?? '',
    enter: ['nsenter', `--net=/proc/${pid}/ns/net`],
  };
}

/** Compose's own `--wait` looks at the containers' health checks, the first of which comes after half a minute. */
async function untilRouted(prefix: string, letter: Letter, signal?: AbortSignal): Promise<void> {
  const deadline = Date.now() + READY_MS;
  const look = compose(prefix, letter, 'exec', '-T', 'router', 'sh', '-c', 'cat "$HEALTH_FILE"');
  for (;;) {
    const health = await runLong(look, { withinMs: ANSWER_MS, signal }).catch(() => '');
    signal?.throwIfAborted();
    if (routedSubnets(health) >= LETTERS.length - 1) return;
    if (Date.now() > deadline) throw new Error(`the router of stack-${letter}: ${unhealthy(health) ?? health.trim()}`);
    await sleep(POLL_MS, undefined, signal ? { signal } : {});
  }
}

/** Builds both images with `scripts/build.sh`. */
export async function buildImages(signal?: AbortSignal): Promise<void> {
  await runLong([join(REPOSITORY, 'scripts', 'build.sh')], { withinMs: BUILD_MS, signal, cwd: REPOSITORY });
}

/** All at once; when one fails, none is still at work once this throws. */
async function forEachStack<T>(work: (letter: Letter) => Promise<T>): Promise<T[]> {
  const settled = await Promise.allSettled(LETTERS.map(work));
  const failed = settled.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  return settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
}

/** Starts the three stacks and the test servers beside their services. @throws LongRunError, Error */
export async function dockerUp(prefix: string, signal?: AbortSignal): Promise<Endpoint[]> {
  rememberWorld(prefix, { mode: 'docker', endpoints: [] });
  const options = { withinMs: UP_MS, signal };
  await forEachStack((letter) => runLong(compose(prefix, letter, 'up', '-d'), options));
  await forEachStack((letter) => untilRouted(prefix, letter, signal));
  const endpoints = await forEachStack((letter) => serviceEndpoint(prefix, letter, signal));
  await startServers(prefix, endpoints, signal);
  return endpoints;
}

/** Removes the containers, networks and volumes of the three stacks. The images stay, as a cache. */
export async function dockerDown(prefix: string): Promise<void> {
  const options = { withinMs: UP_MS };
  await forEachStack((letter) => runLong(compose(prefix, letter, 'down', '--volumes', '--timeout', '2'), options));
}

export function composeLogsCommand(prefix: string, stack: string): [string, ...string[]] {
  return compose(prefix, stack.slice(-1) as Letter, 'logs', '--no-color', 'discovery', 'router');
}
