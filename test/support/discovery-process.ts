/** The discovery daemon's bundle as a process of its own, in the test's network namespace. Needs `npm run build`. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const DAEMON = fileURLToPath(new URL('../../discovery/dist/docker-router-discovery.mjs', import.meta.url));

/** A network on which the daemons of this namespace hear each other. */
export function makeNetwork(): void {
  const lines = [
    'link set lo up',
    'link add eth0 type veth peer name eth1',
    'link set eth1 up',
    'link set eth0 up',
    'address add 10.88.0.1/24 dev eth0',
    'route add default via 10.88.0.254',
  ];
  for (const line of lines) execFileSync('ip', line.split(' '));
}

export class DiscoveryProcesses {
  readonly #root = mkdtempSync(join(tmpdir(), 'docker-router-discovery.'));
  readonly #children: ChildProcess[] = [];

  /** Starts one, or starts one again: its folder stays. `through` is a command that starts it, `options` are of Node. */
  start(
    id: string,
    variables: Readonly<Record<string, string>> = {},
    { through = [], options = [] }: { readonly through?: readonly string[]; readonly options?: readonly string[] } = {},
  ): ChildProcess {
    const [program = process.execPath, ...argv] = [...through, process.execPath, ...options, DAEMON];
    const child = spawn(program, argv, {
      stdio: 'ignore',
      env: {
        PATH: process.env.PATH,
        STACK_ID: id,
        VNI: '1000',
        STATE_DIR: this.folder(id),
        HEALTH_FILE: join(this.folder(id), 'health'),
        ANNOUNCE_INTERVAL: '2s',
        PEER_TIMEOUT: '10s',
        ...variables,
      },
    });
    this.#children.push(child);
    return child;
  }

  folder(id: string): string {
    const folder = join(this.#root, id);
    execFileSync('mkdir', ['-p', folder]);
    return folder;
  }

  /** Status of a peer as the stack's discovery.json has it; undefined when it has none, or cannot be read. */
  status(id: string, peer: string): string | undefined {
    try {
      const file = JSON.parse(readFileSync(join(this.folder(id), 'discovery.json'), 'utf8'));
      return file.peers.find(({ stack_id }: { stack_id: string }) => stack_id === peer)?.status;
    } catch {
      return undefined;
    }
  }

  end(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.#root, { recursive: true, force: true });
  }
}

/** Seconds until it is true. @throws Error after `seconds`. */
export async function until(words: string, seconds: number, isTrue: () => boolean): Promise<number> {
  const began = performance.now();
  while (!isTrue()) {
    if (performance.now() - began > seconds * 1000) throw new Error(`not within ${seconds} s: ${words}`);
    await sleep(10);
  }
  return (performance.now() - began) / 1000;
}
