/** `docker-router init`: reads the user's compose files, looks around, writes one file beside them. */
import { chown, readFile, stat } from 'node:fs/promises';
import { basename, dirname, relative, resolve } from 'node:path';
import { defaultSourceAddress } from '../../discovery/host.ts';
import { writeAtomic } from '../../state/atomic-file.ts';
import { EXIT_USAGE } from '../command.ts';
import { type Decision, decide, type Found, stackIdOf } from './decide.ts';
import { findFiles } from './find-files.ts';
import { hear } from './hear.ts';
import { type Loaded, loadProject } from './load-project.ts';
import { isEdited, isOurs } from './mark.ts';
import { HELP, type Options, readOptions, UsageError } from './options.ts';
import { overrideText, previousSubnet } from './override.ts';
import { InitProblem } from './problem.ts';
import { textOf } from './read-file.ts';
import { difference, hints, next, painted, type Seen, summary } from './report.ts';
import {
  dockerNetworks,
  folderName,
  hostRoutes,
  nameServers,
  networksOf,
  seesHost,
  subnetsIn,
  takenBy,
} from './surroundings.ts';
import { template } from './template.ts';

const MOUNTED = '/project';

/** Here; in the image, where that is the root folder, what is mounted at /project. @throws InitProblem */
async function projectFolder(named: string | undefined): Promise<string> {
  if (named !== undefined) return resolve(named);
  if (process.cwd() !== '/') return process.cwd();
  if (await stat(MOUNTED).catch(() => undefined)) return MOUNTED;
  throw new InitProblem(
    'the folder of your compose file is not visible here. Run it so, in that folder:\n  docker run --rm --network host -v "$PWD:/project" docker-router init',
  );
}

async function lookAround(loaded: Loaded, options: Options, previous: string | undefined) {
  const { name } = loaded.project;
  const stackId = options.stackId ?? stackIdOf(name);
  const visible = await seesHost();
  const listens = visible && options.listenMs > 0;
  if (listens) process.stderr.write('listening for other stacks ...\n');
  const [routes, networks, servers, file, heard, address] = await Promise.all([
    hostRoutes(),
    dockerNetworks(name),
    nameServers(),
    subnetsIn(`${process.env.STATE_DIR || '/var/lib/docker-router'}/discovery.json`),
    listens ? hear(group(), options.listenMs) : undefined,
    visible ? defaultSourceAddress() : undefined,
  ]);
  const records = [...(heard?.stacks.values() ?? [])];
  // This stack itself, running already: what it says is no obstacle to it.
  const foreign = records.filter((record) => record.stack_id !== stackId);
  const found: Found = {
    host: [...routes.taken, ...networks, ...networksOf(servers)],
    stacks: [
      ...foreign.flatMap((record) => takenBy(record.stack_id, record.subnets)),
      ...file.filter(({ stack }) => stack !== stackId).flatMap(({ stack, subnet }) => takenBy(stack, [subnet])),
    ],
    heard: records,
    ...(address && { hostAddress: address }),
    mtu: routes.mtu,
    nameServers: servers,
    ...(previous && { previous }),
  };
  const seen = {
    seesHost: visible,
    networks: found.host.length,
    ...(heard && { heard: foreign.length }),
    unread: heard?.unread ?? 0,
    ...(heard?.trouble && { trouble: heard.trouble }),
  };
  return { found, seen };
}

function group() {
  return { group: process.env.MULTICAST_GROUP || '239.1.1.1', port: Number(process.env.DISCOVERY_PORT) || 4790 };
}

/** Writes it as the folder's owner, since in a container init is root. */
async function write(path: string, text: string): Promise<void> {
  try {
    await writeAtomic(path, text);
  } catch (cause) {
    throw new InitProblem(`${basename(path)} cannot be written: ${(cause as Error).message}`);
  }
  const owner = await stat(dirname(path));
  await chown(path, owner.uid, owner.gid).catch(() => undefined);
}

function mayReplace(path: string, before: string | undefined, options: Options): string | undefined {
  if (before === undefined || options.force) return undefined;
  const name = basename(path);
  if (!isOurs(before)) return `${name} is there already and is not from docker-router init: it stays as it is.`;
  if (isEdited(before)) return `${name} was edited since init wrote it: it stays as it is. --force replaces it.`;
  return undefined;
}

function show(decision: Decision, loaded: Loaded, seen: Seen, diff: string): void {
  const out = process.stdout;
  out.write(`docker-router init\n${summary(decision, loaded.project.name, seen)}\n`);
  if (diff !== '') out.write(`${out.isTTY ? painted(diff) : diff}\n`);
  for (const hint of hints(decision, seen, loaded.notes)) out.write(`Note: ${hint}.\n`);
}

async function init(options: Options): Promise<number> {
  const folder = await projectFolder(options.folder);
  const files = await findFiles({ folder, named: options.files, env: process.env });
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const home = dirname(files.files[0]!);
  const loaded = await loadProject(files.files, files.env, folderName(home, mountinfo), options.projectName);
  const target = basename(files.target);
  const before = await textOf(files.target, target);
  const previous = before !== undefined && isOurs(before) ? previousSubnet(before) : undefined;
  const { found, seen } = await lookAround(loaded, options, previous);
  const decision = decide(loaded.project, options, found);
  const text = overrideText(template(), decision.override);
  const diff = difference(target, before, text);
  const names = files.files.map((file) => relative(folder, file));
  const refused = diff === '' ? undefined : mayReplace(files.target, before, options);
  const writes = diff !== '' && !refused && !options.dryRun;
  // Before anything is shown: a reader that goes away (`| head`) must not decide what is written.
  if (writes) await write(files.target, text);
  show(decision, loaded, { ...seen, files: names }, diff);
  if (refused) throw new InitProblem(refused);
  const commands = next([...names, relative(folder, files.target)], files.automatic);
  if (writes) process.stdout.write(`Wrote ${target}. ${names.join(', ')} stayed as it was.\n\n${commands}`);
  else process.stdout.write(diff === '' ? `${target} is up to date.\n` : 'Nothing was written (--dry-run).\n');
  return 0;
}

export async function main(args: readonly string[]): Promise<number> {
  try {
    const options = readOptions(args);
    if (options) return await init(options);
    process.stdout.write(HELP);
    return 0;
  } catch (cause) {
    if (cause instanceof UsageError) process.stderr.write(`docker-router init: ${cause.message}\n\n${HELP}`);
    else if (cause instanceof InitProblem) process.stderr.write(`docker-router init: ${cause.message}\n`);
    else throw cause;
    return cause instanceof UsageError ? EXIT_USAGE : 1;
  }
}
