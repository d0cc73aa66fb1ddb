/** `npm run build`, when the bundles are older than what they are made of. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BUNDLES, REPOSITORY } from './daemons.ts';
import { runLong } from './long-run.ts';
import { ROLES } from './topology.ts';

const BUILD_MS = 120_000;
const SOURCES = ['package.json', 'package-lock.json', 'scripts/bundle.mjs'];

async function modified(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}

/** Whether both bundles are there and newer than every source. */
async function current(): Promise<boolean> {
  const tree = await readdir(join(REPOSITORY, 'src'), { recursive: true });
  const sources = [...SOURCES, ...tree.filter((name) => name.endsWith('.ts')).map((name) => join('src', name))];
  const newest = Math.max(...(await Promise.all(sources.map((name) => modified(join(REPOSITORY, name))))));
  const built = await Promise.all(ROLES.map((role) => modified(join(REPOSITORY, role, 'dist', BUNDLES[role]))));
  return built.every((time) => time > newest);
}

/** Builds what is not current. Returns whether it had to. @throws LongRunError */
export async function ensureBundles(signal?: AbortSignal): Promise<boolean> {
  if (await current()) return false;
  await runLong(['npm', 'run', '--silent', 'build'], { withinMs: BUILD_MS, signal, cwd: REPOSITORY });
  return true;
}
