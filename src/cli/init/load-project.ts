/** The user's files -> the project, with `include` and `extends` followed. */
import { basename, dirname, relative, resolve } from 'node:path';
import type { Values } from './interpolate.ts';
import { mergeParts, mergeServices, type Part, type Project, type Service } from './model.ts';
import { InitProblem } from './problem.ts';
import { type ComposeFile, type Include, parseCompose, textOf } from './read-file.ts';

/** Deeper nesting is a circle. */
const MAX_DEPTH = 20;

export interface Loaded {
  readonly project: Project;
  /** What could not be followed, in words. */
  readonly notes: readonly string[];
}

class Loader {
  readonly notes = new Set<string>();
  readonly #folder: string;
  readonly #values: Values;
  readonly #files = new Map<string, ComposeFile>();

  constructor(folder: string, values: Values) {
    this.#folder = folder;
    this.#values = values;
  }

  /** A file, read once; undefined with a note when it cannot be seen from here. */
  async #file(path: string): Promise<ComposeFile | undefined> {
    const known = this.#files.get(path);
    if (known) return known;
    const shown = relative(this.#folder, path) || basename(path);
    const text = await textOf(path, shown);
    if (text === undefined) {
      this.notes.add(`${shown} is not there, or not visible from here: what it adds was not looked at`);
      return undefined;
    }
    const file = parseCompose(shown, text, this.#values);
    this.#files.set(path, file);
    return file;
  }

  async load(paths: readonly string[], folder: string, depth = 0): Promise<Part> {
    if (depth > MAX_DEPTH) throw new InitProblem(`include goes in a circle: ${paths.join(', ')}`);
    const parts: Part[] = [];
    for (const path of paths) {
      const file = await this.#file(path);
      if (!file) continue;
      for (const include of file.includes) parts.unshift(await this.#included(include, folder, depth));
      parts.push(await this.#extended(path, file));
    }
    return parts.reduce(mergeParts, { services: new Map(), networks: new Map(), volumes: new Set() });
  }

  async #included(include: Include, folder: string, depth: number): Promise<Part> {
    const local = include.paths.filter((path) => {
      const remote = /^(https?|ssh|git|oci):|^git@|\.git(#|$)/.test(path);
      if (remote) this.notes.add(`include of ${path}: what lies elsewhere was not looked at`);
      return !remote;
    });
    const paths = local.map((path) => resolve(folder, path));
    const inner = include.folder ? resolve(folder, include.folder) : dirname(paths[0] ?? folder);
    // The including project's name counts.
    const { name: _name, ...part } = await this.load(paths, inner, depth + 1);
    return part;
  }

  async #extended(path: string, file: ComposeFile): Promise<Part> {
    const services = new Map<string, Service>();
    for (const name of file.part.services.keys()) services.set(name, (await this.#service(path, file, name, 0))!);
    return { ...file.part, services };
  }

  async #service(path: string, file: ComposeFile, name: string, depth: number): Promise<Service | undefined> {
    const own = file.part.services.get(name);
    const base = file.extended.get(name);
    if (!own || !base) return own;
    if (depth > MAX_DEPTH) throw new InitProblem(`services.${name}: extends goes in a circle`);
    const basePath = base.file ? resolve(dirname(path), base.file) : path;
    const baseFile = base.file ? await this.#file(basePath) : file;
    const service = baseFile && (await this.#service(basePath, baseFile, base.service, depth + 1));
    return service ? mergeServices(service, own) : own;
  }
}

/** As Compose makes a project's name of a folder's, and of what `name:` says. */
export function normalName(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '');
}

/**
 * @param folderName the folder's name on the host
 * @throws InitProblem for a file that is not a compose file
 */
export async function loadProject(
  files: readonly string[],
  values: Values,
  folderName: string,
  name?: string,
): Promise<Loaded> {
  const folder = dirname(files[0]!);
  const loader = new Loader(folder, values);
  const part = await loader.load(files, folder);
  if (part.services.size === 0) throw new InitProblem(`${basename(files[0]!)} has no services`);
  const chosen = name || values.COMPOSE_PROJECT_NAME || normalName(part.name ?? '') || normalName(folderName);
  if (!chosen) throw new InitProblem(`the folder ${folderName} gives the project no name: set it with --project-name`);
  return { project: { ...part, name: chosen }, notes: [...loader.notes] };
}
