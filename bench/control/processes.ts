/** The daemons' own bundles as processes, and what /proc says of them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freshFolder, HOST_ADDRESS, inRouter } from './namespaces.ts';
import { VNI } from './peers.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** USER_HZ, which /proc uses whatever the kernel's own clock is (proc(5)). */
const TICKS_PER_SECOND = 100;

export interface Daemon {
  readonly child: ChildProcess;
  readonly health: string;
  log(): string;
  stop(): Promise<void>;
}

/** A folder as the image has it, and its own start script in it: the same flags of Node, the same settings of malloc. */
function installed(image: 'discovery' | 'router', script: string): string {
  const folder = freshFolder();
  cpSync(join(ROOT, image, 'dist'), folder, { recursive: true });
  for (const name of readdirSync(join(ROOT, image)).filter((name) => name.endsWith('.mjs')))
    cpSync(join(ROOT, image, name), join(folder, name));
  const text = readFileSync(join(ROOT, image, script), 'utf8');
  writeFileSync(join(folder, script), text.replaceAll('/usr/local/lib/docker-router', folder));
  return join(folder, script);
}

function start(argv: readonly [string, ...string[]], env: NodeJS.ProcessEnv, health: string): Daemon {
  const [program, ...args] = argv;
  const child = spawn(program, args, {
    env: { PATH: `${dirname(process.execPath)}:${process.env.PATH}`, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    child,
    health,
    log: () => log,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

export function startDiscovery(folder: string, env: NodeJS.ProcessEnv = {}): Daemon {
  const health = join(folder, 'health-discovery');
  const script = installed('discovery', 'docker-router-discovery.sh');
  const own = { STACK_ID: 'stack-a', VNI: String(VNI), HOST_IP: HOST_ADDRESS, STATE_DIR: folder, HEALTH_FILE: health };
  return start(['sh', script], { ...own, ...env }, health);
}

export function startRouter(folder: string, env: NodeJS.ProcessEnv = {}): Daemon {
  const health = join(folder, 'health-router');
  const script = installed('router', 'docker-router.sh');
  const own = { STATE_DIR: folder, HEALTH_FILE: health, UNDERLAY: 'published' };
  return start(inRouter('sh', script), { ...own, ...env }, health);
}

/** CPU milliseconds that a process has used, its children included when they have ended. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  // utime, stime, cutime, cstime are fields 14 to 17 of proc(5); `state`, the first here, is field 3.
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
  return (ticks * 1000) / TICKS_PER_SECOND;
}

/** Memory that would be free if the process ended, in MiB. */
export function privateMiB(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = [...text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm)].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
  return kib / 1024;
}

/** Resolves as soon as `look` gives a value. @throws Error after `seconds`, with the daemon's log. */
export async function until<T>(
  seconds: number,
  what: string,
  look: () => T | undefined,
  pollMs = 1,
  log: () => string = () => '',
): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const value = look();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${seconds} s\n${log().slice(-2000)}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/** Text of a file, or nothing when it is not there. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

export const healthy = (daemon: Daemon) => (textOf(daemon.health).startsWith('ok ') ? true : undefined);
