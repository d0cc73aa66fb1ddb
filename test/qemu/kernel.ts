/**
 * Runs a TypeScript entry file inside a stock Debian kernel: bundled here, booted by kernel.sh, run there by Node with the bundles of both
 * daemons at /repo/discovery/dist and /repo/router/dist. The bundle stands in /repo/src/embedded, so that paths relative to a file two
 * folders deep keep their meaning.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Result } from '../../src/process/run.ts';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const KERNEL = join(REPOSITORY, 'test', 'qemu', 'kernel.sh');
/** Debian 12: Linux 6.1; Debian 13: Linux 6.12. */
export const SUITES = { bookworm: '6.1', trixie: '6.12' } as const;
export type Suite = keyof typeof SUITES;

/** What an entry finds in /repo beside itself: the daemons, the probe's source, and esbuild, which makes a program of that. */
const BESIDE = [
  'discovery/dist',
  'router/dist',
  'src/embedded/probe.ts',
  'node_modules/esbuild',
  'node_modules/@esbuild',
];

export interface KernelRun {
  readonly suite: Suite;
  /** Path of the entry file in the repository. */
  readonly entry: string;
  readonly arguments?: readonly string[];
  /** Further files or folders of the repository. */
  readonly add?: readonly string[];
  readonly timeoutSeconds?: number;
}

function execute(args: readonly string[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(KERNEL, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 137, stdout, stderr }));
  });
}

/** The machine's exit status and output. The daemons must have been built (`npm run build`). */
export async function runInKernel(run: KernelRun): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'docker-router-entry.'));
  try {
    const bundle = join(folder, 'entry.mjs');
    await build({
      entryPoints: [join(REPOSITORY, run.entry)],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      external: ['esbuild'],
      banner: { js: "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);" },
      logLevel: 'warning',
    });
    const add = [...BESIDE, ...(run.add ?? [])].flatMap((path) => ['--add', `${join(REPOSITORY, path)}:/repo/${path}`]);
    return await execute([
      ...['--suite', run.suite, '--timeout', String(run.timeoutSeconds ?? 300), ...add],
      ...['--add', `${bundle}:/repo/src/embedded/entry.mjs`],
      ...['--', 'node', '/repo/src/embedded/entry.mjs', ...(run.arguments ?? [])],
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
