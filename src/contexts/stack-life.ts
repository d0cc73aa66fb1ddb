/** The stacks of a run on their hosts: started, waited for, removed. What was there before stays as it was. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseJson } from '../record/record.ts';
import { DiscoveryFileSchema, MAX_DISCOVERY_BYTES } from '../state/discovery-file.ts';
import type { Detail } from './board.ts';
import { CommandFailed, command } from './command.ts';
import { composeArguments } from './compose.ts';
import type { Host } from './host.ts';
import { LABEL } from './programs.ts';
import type { StackFacts } from './stack-facts.ts';

const ANSWER_MS = 15_000;
const UP_MS = 600_000;
const REMOVE_MS = 60_000;
/** Discovery says goodbye within a second; other programs may need more, tests do not wait for them. */
const STOP_S = 3;
/** Each look is a program here, one there, and two of ssh. */
const POLL_MS = 1000;
const PROJECT = 'com.docker.compose.project';
const SERVICE = 'com.docker.compose.service';
const VOLUMES = `${LABEL}.volumes`;
export const STATE = '/var/lib/docker-router';

export interface Stack {
  readonly host: Host;
  /** Name of the Compose project. */
  readonly project: string;
  readonly file: string;
  readonly facts: StackFacts;
}

const lines = (output: string) => output.split('\n').filter((line) => line !== '');

const containers = async (host: Host, project: string, ...filters: string[]): Promise<string[]> => {
  const options = [`label=${PROJECT}=${project}`, ...filters].flatMap((filter) => ['--filter', filter]);
  return lines(await host.docker(['ps', '--all', '--quiet', ...options], { withinMs: ANSWER_MS }));
};

const listed = async (host: Host, kind: 'network' | 'volume', label: string): Promise<string[]> =>
  lines(await host.docker([kind, 'ls', '--quiet', '--filter', `label=${label}`], { withinMs: ANSWER_MS }));

/** A volume that remembers, on the host itself, that its project was made by a run of these tools. */
const markOf = (project: string) => `docker-router-contexts_${project}`;

async function setMark(host: Host, project: string): Promise<void> {
  // Volumes that outlived their containers belong to somebody.
  const volumes = (await listed(host, 'volume', `${PROJECT}=${project}`)).length > 0 ? 'keep' : 'remove';
  const labels = ['--label', `${LABEL}=${project}`, '--label', `${VOLUMES}=${volumes}`];
  await host.docker(['volume', 'create', ...labels, markOf(project)], { withinMs: ANSWER_MS });
}

/** Projects on the host that runs of these tools have made, with what is to happen to their volumes. */
async function marks(host: Host): Promise<{ project: string; keepVolumes: boolean }[]> {
  const format = [
    'volume',
    'ls',
    '--filter',
    `label=${LABEL}`,
    '--format',
    `{{.Label "${LABEL}"}} {{.Label "${VOLUMES}"}}`,
  ];
  return lines(await host.docker(format, { withinMs: ANSWER_MS })).map((line) => {
    const [project = '', volumes] = line.split(' ');
    return { project, keepVolumes: volumes === 'keep' };
  });
}

/**
 * Starts the stack. One that somebody else has running is used and left as it is.
 * @throws CommandFailed with Compose's words, HostLost
 */
export async function startStack(stack: Stack, signal: AbortSignal, detail: Detail): Promise<void> {
  const { host, project, file } = stack;
  const ours = (await marks(host)).some((mark) => mark.project === project);
  if (!ours) {
    const [all, running] = await Promise.all([containers(host, project), containers(host, project, 'status=running')]);
    if (running.length > 0) return detail('runs already and is left as it is');
    if (all.length > 0) {
      throw new Error(
        `has stopped containers of its own; start or remove them: docker --context ${host.name} compose -p ${project} down`,
      );
    }
    await setMark(host, project);
  }
  const argv = host.argv([...composeArguments(file, project), 'up', '--detach', '--remove-orphans']);
  const ended = await command(argv, {
    withinMs: UP_MS,
    signal,
    environment: host.environment,
    onLine: (line) => detail(line.trim().slice(0, 60)),
  });
  detail('');
  if (ended.code !== 0) throw new CommandFailed(argv, ended);
}

/** The container of a service, a running one before others. @throws Error when there is none */
export async function containerOf({ host, project }: Stack, service: string): Promise<string> {
  const label = `label=${SERVICE}=${service}`;
  const [id] = [
    ...(await containers(host, project, label, 'status=running')),
    ...(await containers(host, project, label)),
  ];
  if (!id) throw new Error(`${service} does not run`);
  return id;
}

/** A file of the shared volume, as a container of the stack sees it. */
export const stateFile = (host: Host, container: string, name: string): Promise<string> =>
  host.docker(['exec', container, 'cat', `${STATE}/${name}`], { withinMs: ANSWER_MS });

/** Which of `expected` a discovery.json does not show as connected, and why. Pure. */
export function missingPeers(text: string, expected: readonly string[]): string[] {
  const file = parseJson(DiscoveryFileSchema, text, MAX_DISCOVERY_BYTES);
  if (!file.ok) return expected.length > 0 ? ['discovery.json is not complete yet'] : [];
  const { peers } = file.value;
  return expected.flatMap((id) => {
    const peer = peers.find((candidate) => candidate.stack_id === id && candidate.status === 'active');
    if (peer && peer.subnets.length > 0) return [];
    if (peer) return [`${id} has no router yet`];
    const other = peers.find((candidate) => candidate.stack_id === id);
    return [other ? `${id} is ${other.status}${other.reason ? `: ${other.reason}` : ''}` : `${id} is not seen`];
  });
}

/** Words for an attempt to read discovery.json that failed. */
const waitingFor = (said: string) => (/No such file/.test(said) ? 'Discovery has written nothing yet' : said);

/** Waits until the stack sees all that `expected` names at that time. @throws Error that says who is missing */
export async function untilSeen(
  stack: Stack,
  expected: () => readonly string[],
  withinMs: number,
  detail: Detail,
): Promise<void> {
  const { host, facts } = stack;
  const deadline = performance.now() + withinMs;
  let router: string | undefined;
  for (;;) {
    let missing: string[];
    try {
      router ??= await containerOf(stack, facts.routerService);
      missing = missingPeers(await stateFile(host, router, 'discovery.json'), expected());
    } catch (cause) {
      host.signal.throwIfAborted();
      missing = [waitingFor((cause as Error).message)];
      // Docker may have started another one.
      router = undefined;
    }
    if (missing.length === 0) return detail(`sees ${expected().length}`);
    if (performance.now() > deadline) throw new Error(missing.join('; '));
    detail(missing.join('; '));
    await sleep(POLL_MS);
  }
}

/** Removes all that belongs to a Compose project, by its labels: the compose file may have changed or gone. */
async function removeProject(host: Host, project: string, keepVolumes: boolean): Promise<void> {
  const options = { withinMs: REMOVE_MS };
  // An interrupted Compose may have asked the engine for a container that appears only now.
  for (let ids = await containers(host, project); ids.length > 0; ids = await containers(host, project)) {
    await host.docker(['stop', '-t', String(STOP_S), ...ids], options);
    await host.docker(['rm', '--force', '--volumes', ...ids], options);
  }
  const label = `${PROJECT}=${project}`;
  const networks = await listed(host, 'network', label);
  if (networks.length > 0) await host.docker(['network', 'rm', ...networks], options);
  const volumes = keepVolumes ? [] : await listed(host, 'volume', label);
  // The mark goes last: whoever is interrupted before finds everything the next time.
  await host.docker(['volume', 'rm', '--force', ...volumes, markOf(project)], options);
}

/** Containers of these tools themselves. */
export async function removeProbes(host: Host): Promise<void> {
  const found = lines(
    await host.docker(['ps', '--all', '--quiet', '--filter', `label=${LABEL}`], { withinMs: ANSWER_MS }),
  );
  if (found.length > 0) await host.docker(['rm', '--force', ...found], { withinMs: REMOVE_MS });
}

/** Removes everything that runs of these tools have made on a host. Returns the projects. */
export async function removeAll(host: Host): Promise<string[]> {
  await removeProbes(host);
  const found = await marks(host);
  for (const { project, keepVolumes } of found) await removeProject(host, project, keepVolumes);
  return found.map(({ project }) => project);
}
