/** Where things are: the file of contexts, compose files. */
import { existsSync } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeAtomic } from '../state/atomic-file.ts';
import { type Document, formatFile, MAX_FILE_BYTES, type ParsedFile, parseFile } from './file.ts';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLES = join(REPOSITORY, 'examples', 'multi-stack');

/** `docker-contexts.json` of the repository, unless DOCKER_CONTEXTS_FILE names another. */
export function contextsFile(): string {
  return resolve(process.env.DOCKER_CONTEXTS_FILE || join(REPOSITORY, 'docker-contexts.json'));
}

/** The parsed file; undefined when there is none. @throws the system's error when it cannot be read. */
export async function readContexts(path: string): Promise<ParsedFile | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
  if (text.length > MAX_FILE_BYTES) return { ok: false, problems: [`is larger than ${MAX_FILE_BYTES} bytes`] };
  return parseFile(text);
}

/** Writes the file whole or not at all. One that is a link stays a link; its permissions stay. @throws the system's error */
export async function writeContexts(path: string, document: Document): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const mode = await stat(target).then(
    (found) => found.mode & 0o777,
    () => 0o644,
  );
  await writeAtomic(target, formatFile(document), mode);
}

/** Where a context's compose file may be, in the order in which it is looked for: beside the file of contexts, then among the examples. */
export function composeCandidates(composeFile: string, contextsPath: string): string[] {
  if (isAbsolute(composeFile)) return [composeFile];
  return [...new Set([resolve(dirname(contextsPath), composeFile), resolve(EXAMPLES, composeFile)])];
}

export const findCompose = (composeFile: string, contextsPath: string): string | undefined =>
  composeCandidates(composeFile, contextsPath).find((path) => existsSync(path));
