/** Brings the project's images to every host: built there, or sent from one that could build. */
import { join } from 'node:path';
import type { Board, Detail } from './board.ts';
import { command, commandOk, lastWords } from './command.ts';
import type { Desk } from './desk.ts';
import { type Host, HostLost } from './host.ts';
import { REPOSITORY } from './places.ts';
import { type Archive, fetchArchive, imageIdentities, sendArchive } from './send-images.ts';

export const ROUTER_IMAGE = 'docker-router:latest';
export const IMAGES = ['docker-router-discovery:latest', ROUTER_IMAGE] as const;

/** A base image has to come over somebody's line. */
const BUILD_MS = 900_000;
const BUNDLE_MS = 120_000;
const ANSWER_MS = 30_000;

/** Undefined: the host has the images. Otherwise why not. */
export type Outcomes = Map<Host, Error | undefined>;

type Identities = ReadonlyMap<string, string>;

const complete = (ids: Identities) => IMAGES.every((image) => ids.has(image));
/** `linux/amd64`: what one processor runs is of no use to another. */
const platformOf = (host: Host): Promise<string> =>
  host
    .docker(['version', '--format', '{{.Server.Os}}/{{.Server.Arch}}'], { withinMs: ANSWER_MS })
    .then((text) => text.trim());
const equal = (a: Identities, b: Identities) => IMAGES.every((image) => a.get(image) === b.get(image));
const megabytes = (bytes: number) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

/** With `scripts/build.sh` on the host's engine. An engine that has built this before answers from its cache. */
async function build(host: Host, detail: Detail): Promise<void> {
  const environment = { ...host.environment, SKIP_BUNDLE: '1' };
  const ended = await command([join(REPOSITORY, 'scripts', 'build.sh')], {
    withinMs: BUILD_MS,
    signal: host.signal,
    environment,
    cwd: REPOSITORY,
    onLine: (line) => detail(line.slice(0, 60)),
  });
  detail('');
  if (ended.code !== 0) throw new Error(buildTrouble(ended.stderr));
}

/** The line of a failed build that says why: the script's own words, not what it proposes after them. */
export function buildTrouble(stderr: string): string {
  const words = stderr.split('\n').filter((line) => line.startsWith('build: ') && !line.startsWith('build:   '));
  const reason = words.find((line) => /failed|there is no|does not answer/.test(line)) ?? words.at(-1);
  return reason?.slice('build: '.length).split('. ')[0]?.trim() ?? lastWords(stderr);
}

async function writeBundles(desk: Desk, signal: AbortSignal): Promise<void> {
  const argv = [process.execPath, join(REPOSITORY, 'scripts', 'bundle.mjs')] as const;
  await commandOk(argv, { withinMs: BUNDLE_MS, signal, environment: desk.environment, cwd: REPOSITORY });
}

/** Tries to build. A host that cannot is no failure yet: the error is why it has to be sent to. */
async function tryBuild(host: Host, board: Board): Promise<Error | undefined> {
  return board.step(host.name, 'images', async (detail) => {
    try {
      await build(host, detail);
      detail('built there');
      return undefined;
    } catch (cause) {
      host.signal.throwIfAborted();
      detail(`cannot build (${(cause as Error).message}); will be sent`);
      return cause as Error;
    }
  });
}

/** A host that has the images, and what is known of them so far. */
class Source {
  readonly host: Host;
  readonly #folder: string;
  #archive: Promise<Archive> | undefined;

  constructor(host: Host, folder: string) {
    this.host = host;
    this.#folder = folder;
  }

  /** Fetched once, whoever needs it. */
  archive(): Promise<Archive> {
    this.#archive ??= fetchArchive(this.host, IMAGES, join(this.#folder, `${this.host.name}.tar`));
    return this.#archive;
  }
}

/** Returns false when the source has nothing to give. */
async function sendFrom(source: Source, host: Host, detail: Detail): Promise<boolean> {
  const { name } = source.host;
  detail(`comparing with ${name}`);
  const [wanted, there] = await Promise.all([imageIdentities(source.host, IMAGES), imageIdentities(host, IMAGES)]);
  if (!complete(wanted)) return false;
  detail(`has those of ${name}`);
  if (equal(wanted, there)) return true;
  detail(`waiting for those of ${name}`);
  const saved = await source.archive();
  const whole = saved.entries.at(-1)?.end ?? 0;
  detail(`sending from ${name}`);
  const { bytes, whole: all } = await sendArchive(host, saved);
  const how = all ? ': its image store wants every layer' : '';
  detail(`sent from ${name}: ${megabytes(bytes)} of ${megabytes(whole)} MB${how}`);
  return true;
}

/** The first source that works, has the images and the same processor. Returns false when there is none. */
async function sendFromAny(sources: readonly Source[], host: Host, platform: string, detail: Detail): Promise<boolean> {
  for (const source of sources.filter((candidate) => candidate.host !== host)) {
    try {
      if ((await platformOf(source.host)) !== platform) continue;
      if (await sendFrom(source, host, detail)) return true;
    } catch (cause) {
      host.signal.throwIfAborted();
      if (!(cause instanceof HostLost)) throw cause;
    }
  }
  return false;
}

interface Supply {
  /** Hosts that have built the images just now. */
  readonly built: readonly Source[];
  /** Hosts that may have some from before. */
  readonly others: readonly Source[];
}

/** Gives a host that cannot build the images of one that can, or else any. @throws Error, HostLost */
async function supply(host: Host, why: Error, { built, others }: Supply, detail: Detail): Promise<void> {
  const platform = await platformOf(host);
  if (await sendFromAny(built, host, platform, detail)) return;
  if (complete(await imageIdentities(host, IMAGES))) return detail('nobody can build them; it has some from before');
  if (await sendFromAny(others, host, platform, detail)) return;
  const remedy = 'scripts/build.sh --help shows how to get a base image';
  throw new Error(`cannot build the images (${why.message}), and no other ${platform} host has them; ${remedy}`);
}

/** Does something for each host at the same time; what goes wrong is that host's outcome. */
async function eachHost(
  hosts: readonly Host[],
  outcomes: Outcomes,
  signal: AbortSignal,
  work: (host: Host) => Promise<void>,
): Promise<void> {
  const one = async (host: Host) => {
    try {
      await work(host);
      outcomes.set(host, undefined);
    } catch (cause) {
      signal.throwIfAborted();
      outcomes.set(host, cause as Error);
    }
  };
  await Promise.all(hosts.map(one));
}

/** Afterwards every host whose outcome is undefined has both images. One host's failure is no other's. */
export async function bringImages(
  desk: Desk,
  hosts: readonly Host[],
  board: Board,
  signal: AbortSignal,
): Promise<Outcomes> {
  await board.step('desk', 'bundles', () => writeBundles(desk, signal));
  const outcomes: Outcomes = new Map();
  const unable = new Map<Host, Error>();
  await eachHost(hosts, outcomes, signal, async (host) => {
    const why = await tryBuild(host, board);
    if (why) unable.set(host, why);
  });
  const source = (host: Host) => new Source(host, desk.folder);
  const built = hosts.filter((host) => outcomes.get(host) === undefined && !unable.has(host)).map(source);
  const others = [...unable.keys()].map(source);
  await eachHost([...unable.keys()], outcomes, signal, (host) =>
    board.step(host.name, 'images', (detail) => supply(host, unable.get(host)!, { built, others }, detail)),
  );
  return outcomes;
}
