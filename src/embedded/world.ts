/** What a run stands on, embedded or Docker: the same questions to both. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootOf } from './folders.ts';
import type { Endpoint } from './paths.ts';

export interface World {
  readonly mode: 'embedded' | 'docker';
  readonly endpoints: readonly Endpoint[];
}

const fileOf = (prefix: string) => join(rootOf(prefix), 'run.json');

/** Written down for `--check` and `--down`, which run later. */
export function rememberWorld(prefix: string, world: World): void {
  writeFileSync(fileOf(prefix), JSON.stringify(world));
}

/** undefined when nothing is up under this prefix. */
export function rememberedWorld(prefix: string): World | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(prefix), 'utf8')) as World;
  } catch {
    return undefined;
  }
}
