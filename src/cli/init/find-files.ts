/** Which files make up the user's project, and what our file beside them is called. */
import { basename, dirname, join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { isOurs } from './mark.ts';
import { InitProblem } from './problem.ts';
import { textOf } from './read-file.ts';

/** In the order in which Compose looks for them. */
const MAIN_NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
const OVERRIDE_NAMES = [
  'compose.override.yml',
  'compose.override.yaml',
  'docker-compose.override.yml',
  'docker-compose.override.yaml',
];
/** Our file where Compose would not pick it up by itself, or the name is taken. */
const OTHER_NAME = 'compose.docker-router.yaml';

export interface ProjectFiles {
  readonly folder: string;
  /** The user's own, in the order in which Compose reads them. */
  readonly files: readonly string[];
  readonly target: string;
  /** Compose finds `target` by itself; otherwise it has to be named with -f. */
  readonly automatic: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Where {
  readonly folder: string;
  /** -f, or COMPOSE_FILE. */
  readonly named: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

const exists = async (path: string) => (await textOf(path, basename(path))) !== undefined;

/** The user's override, or none: one that init wrote is not the user's. */
async function userOverride(folder: string): Promise<string | undefined> {
  for (const name of OVERRIDE_NAMES) {
    const text = await textOf(join(folder, name), name);
    if (text !== undefined && !isOurs(text)) return join(folder, name);
  }
  return undefined;
}

async function ourOverride(folder: string): Promise<string | undefined> {
  for (const name of OVERRIDE_NAMES) {
    const text = await textOf(join(folder, name), name);
    if (text !== undefined && isOurs(text)) return join(folder, name);
  }
  return undefined;
}

/** The name that goes with the main file's: compose.yaml -> compose.override.yaml. */
function overrideBeside(main: string): string {
  return join(dirname(main), basename(main).replace(/\.(ya?ml)$/, '.override.$1'));
}

async function foundByCompose(folder: string): Promise<Pick<ProjectFiles, 'files' | 'target' | 'automatic'>> {
  for (const name of MAIN_NAMES) {
    const main = join(folder, name);
    if (!(await exists(main))) continue;
    const own = await userOverride(folder);
    if (own) return { files: [main, own], target: join(folder, OTHER_NAME), automatic: false };
    return { files: [main], target: (await ourOverride(folder)) ?? overrideBeside(main), automatic: true };
  }
  throw new InitProblem(
    `there is no compose file in ${folder} (${MAIN_NAMES.join(', ')}). Go to its folder, or name it with -f.`,
  );
}

/** @throws InitProblem when there is no compose file. */
export async function findFiles({ folder, named, env: outer }: Where): Promise<ProjectFiles> {
  const dotEnv = (await textOf(join(folder, '.env'), '.env')) ?? '';
  const env = { ...parseEnv(dotEnv), ...outer };
  const separator = env.COMPOSE_PATH_SEPARATOR || ':';
  const list = named.length > 0 ? named : (env.COMPOSE_FILE ?? '').split(separator).filter((name) => name !== '');
  const paths = list.map((name) => resolve(folder, name));
  if (paths.length === 0) return { folder, env, ...(await foundByCompose(folder)) };
  for (const [index, path] of paths.entries())
    if (!(await exists(path))) throw new InitProblem(`${list[index]} is not there (looked for ${path})`);
  const files: string[] = [];
  for (const path of paths) if (!isOurs((await textOf(path, basename(path)))!)) files.push(path);
  if (files.length === 0) throw new InitProblem('name your own compose file too, before the one that init wrote');
  // COMPOSE_FILE that names our file already needs no -f.
  const automatic = named.length === 0 && files.length < paths.length;
  return { folder, env, files, target: join(dirname(files[0]!), OTHER_NAME), automatic };
}
