/** What `quickstart.sh` does: build the world, measure every path, say so, take it down. */
import { writeFile } from 'node:fs/promises';
import { stripVTControlCharacters } from 'node:util';
import { missingAbilities } from './abilities.ts';
import { ensureBundles } from './bundles.ts';
import { logTail, processName } from './daemons.ts';
import { buildImages, composeLogsCommand, dockerDown, dockerMissing, dockerUp } from './docker.ts';
import { down, up } from './embedded.ts';
import { claim, logFolder, logOf, processFolder, refuseWhenBusy, volumeOf } from './folders.ts';
import { runLong } from './long-run.ts';
import { existingNamespaces } from './namespaces.ts';
import { type Endpoint, measurePath, orderedPairs } from './paths.ts';
import { recordedNames } from './processes.ts';
import { type Detail, paint } from './progress.ts';
import { NotReadyError, pendingDaemons, untilReady } from './readiness.ts';
import { concerned, failureLines, hintLines, type LogExcerpt, type PathResult, pictureLines } from './report.ts';
import type { Session } from './session.ts';
import { PathTable, verdict } from './table.ts';
import { quickstartTopology, ROLES, type Topology } from './topology.ts';
import { rememberedWorld, rememberWorld, type World } from './world.ts';

const READY_MS = 45_000;
const LOGS_MS = 10_000;
const TAIL_LINES = 6;

/** The machine cannot do it; no defect of the program. */
export class UnableError extends Error {}

async function takeDown(prefix: string, keepLogs = false): Promise<void> {
  refuseWhenBusy(prefix);
  if (rememberedWorld(prefix)?.mode === 'docker') await dockerDown(prefix);
  await down(prefix, { keepLogs });
}

async function isUp(prefix: string): Promise<boolean> {
  const names = await existingNamespaces(prefix);
  return names.length > 0 || recordedNames(processFolder(prefix)).length > 0 || rememberedWorld(prefix) !== undefined;
}

/** `--down` */
export async function end({ prefix, progress }: Session): Promise<number> {
  const wasUp = await isUp(prefix);
  if (wasUp) await progress.step('taking it down', () => takeDown(prefix));
  else await takeDown(prefix);
  progress.line(wasUp ? 'Nothing is left of it.' : 'Nothing was up.');
  return 0;
}

/** Daemons that never get ready are shown by what does not work without them. */
async function untilConnected({ progress, signal }: Session, topology: Topology): Promise<void> {
  const wait = (detail: Detail) =>
    untilReady(topology, {
      withinMs: READY_MS,
      signal,
      onPending: ([first]) => first && detail(`the ${first.role} of ${first.stack}: ${first.why}`),
    });
  await progress.step('every stack has found the others and routes to them', wait).catch((cause) => {
    if (!(cause instanceof NotReadyError)) throw cause;
  });
}

async function startEmbedded(session: Session): Promise<Endpoint[]> {
  const { prefix, progress, signal } = session;
  const topology = quickstartTopology(prefix, process.env);
  const missing = await missingAbilities(prefix);
  if (missing.length > 0)
    throw new UnableError(`this machine lacks what the embedded run stands on:\n  - ${missing.join('\n  - ')}`);
  const { hosts, stacks } = topology;
  const label = `${hosts.length} hosts, ${stacks.length} stacks and their ${stacks.length * ROLES.length} daemons started`;
  const endpoints = await progress.step(label, () => up(topology, signal));
  rememberWorld(prefix, { mode: 'embedded', endpoints });
  for (const line of pictureLines(topology)) progress.line(line);
  await untilConnected(session, topology);
  return endpoints;
}

async function startDocker({ prefix, progress, signal }: Session): Promise<Endpoint[]> {
  await progress.step('images built (scripts/build.sh)', () => buildImages(signal));
  const label = 'stacks a, b and c of examples/multi-stack are up and route to each other';
  const endpoints = await progress.step(label, () => dockerUp(prefix, signal));
  rememberWorld(prefix, { mode: 'docker', endpoints });
  return endpoints;
}

/** An engine that cannot build or run the stacks (no package mirror, a subnet in use) is said, and done without. */
async function withDocker(session: Session): Promise<Endpoint[] | undefined> {
  try {
    return await startDocker(session);
  } catch (cause) {
    session.signal.throwIfAborted();
    session.progress.line(`    ${(cause as Error).message.replaceAll('\n', '\n    ')}`);
    await takeDown(session.prefix);
    claim(session.prefix);
    session.progress.line('    Without Docker, then: the same two daemons run in network namespaces.');
    return undefined;
  }
}

async function start(session: Session): Promise<World> {
  const { progress, signal, embedded } = session;
  await progress.step(
    'building the bundles of both daemons (npm run build)',
    () => ensureBundles(signal),
    (built) => `bundles of both daemons ${built ? 'built (npm run build)' : 'are current'}`,
  );
  const reason = await progress.step(
    'looking for a Docker Engine and images',
    async () => (embedded ? 'embedded run, as asked' : dockerMissing(signal)),
    (why) => (why ? `${why}: the same two daemons run in network namespaces` : 'a Docker Engine and images are here'),
  );
  const endpoints = reason === undefined ? await withDocker(session) : undefined;
  if (endpoints) return { mode: 'docker', endpoints };
  return { mode: 'embedded', endpoints: await startEmbedded(session) };
}

async function measureAll({ prefix, progress, screen, signal }: Session, world: World): Promise<PathResult[]> {
  const paths = orderedPairs(world.endpoints);
  const table = new PathTable(paths);
  const results: PathResult[] = [];
  progress.line();
  progress.line(paint(screen, 'bold', table.header()));
  for (const path of paths) {
    const outcome = await measurePath(prefix, path, signal);
    const row = table.row(path, outcome);
    progress.line(outcome.ok ? row : paint(screen, 'red', row));
    results.push({ path, outcome });
  }
  progress.line();
  return results;
}

/** A container's log goes with the container, so it is saved where the embedded run has its own. */
async function saveContainerLogs(prefix: string, stacks: readonly string[]): Promise<void> {
  for (const stack of stacks) {
    const text = await runLong(composeLogsCommand(prefix, stack), { withinMs: LOGS_MS }).catch(
      (cause: Error) => cause.message,
    );
    await writeFile(logOf(prefix, stack), stripVTControlCharacters(text));
  }
}

async function excerpts(prefix: string, mode: World['mode'], stacks: readonly string[]): Promise<LogExcerpt[]> {
  if (mode === 'docker') await saveContainerLogs(prefix, stacks);
  const names = stacks.flatMap((name) =>
    mode === 'docker' ? [name] : ROLES.map((role) => processName({ name }, role)),
  );
  return names.map((name) => ({ path: logOf(prefix, name), lines: logTail(logOf(prefix, name), TAIL_LINES) }));
}

async function tell(session: Session, world: World, results: readonly PathResult[]): Promise<boolean> {
  const { prefix, progress, screen } = session;
  const connected = results.every(({ outcome }) => outcome.ok);
  if (!connected) {
    const pending = world.mode === 'embedded' ? pendingDaemons(quickstartTopology(prefix)) : [];
    const notReady = pending.map(({ stack, role, why }) => `the ${role} of ${stack}: ${why}`);
    for (const line of failureLines(results, notReady, await excerpts(prefix, world.mode, concerned(results))))
      progress.line(line);
    progress.line();
    progress.line(`All logs: ${logFolder(prefix)}`);
    progress.line();
  }
  if (session.keep && world.mode === 'embedded') {
    const files = { volume: volumeOf(prefix, results[0]!.path.from.stack), logs: logFolder(prefix) };
    for (const line of hintLines(quickstartTopology(prefix), results[0]!.path, files)) progress.line(line);
    progress.line();
  } else if (session.keep) {
    progress.line('It stays up (--keep): see it with docker ps, measure it again with --check, end it with --down.');
    progress.line();
  }
  progress.line(paint(screen, connected ? 'green' : 'red', verdict(results.map(({ outcome }) => outcome))));
  return connected;
}

/** `--check` */
export async function check(session: Session): Promise<number> {
  const world = rememberedWorld(session.prefix);
  if (!world || world.endpoints.length === 0)
    throw new UnableError('nothing is up; start it with: ./scripts/quickstart.sh --keep');
  const results = await measureAll(session, world);
  return (await tell({ ...session, keep: false }, world, results)) ? 0 : 1;
}

/** Without any option, and `--keep`. */
export async function run(session: Session): Promise<number> {
  const { prefix, progress, keep } = session;
  claim(prefix);
  let stays = false;
  let keepLogs = false;
  try {
    if (await isUp(prefix)) await progress.step('removing what an earlier run left', () => takeDown(prefix));
    claim(prefix);
    const world = await start(session);
    const connected = await tell(session, world, await measureAll(session, world));
    stays = keep;
    keepLogs = !connected;
    return connected ? 0 : 1;
  } finally {
    if (!stays) await takeDown(prefix, keepLogs);
  }
}
