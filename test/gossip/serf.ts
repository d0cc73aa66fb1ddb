/** Serf itself, without the source: agents that are no stacks, and the `serf` command. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { knock } from '../../src/sources/gossip/ports.ts';

/** For an agent to listen on a busy machine. */
const START_MS = 20_000;

export const gossipKey = () => randomBytes(32).toString('base64');

/** Processes of a name whose parent is `parent`. */
export function childrenNamed(parent: number, name: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [, command, ppid] = /^\d+ \((.*)\) \S (\d+)/.exec(stat) ?? [];
        return command === name && Number(ppid) === parent;
      } catch {
        return false;
      }
    })
    .map(Number);
}

export interface ForeignAgent {
  readonly child: ChildProcess;
  /** It came as far as listening, and did not end first. */
  readonly listens: boolean;
  kill(): Promise<void>;
}

export interface ForeignOrder {
  readonly root: string;
  readonly hostIp: string;
  readonly port: number;
  readonly tags: Readonly<Record<string, unknown>>;
  readonly key: string | undefined;
  /** IP:PORT of a member; joined until it works. */
  readonly join: string;
}

/** Runs an agent that this project did not configure, on `port`, with its RPC on the next thousand. Resolves when it listens, or has ended. */
export async function foreignAgent({ root, hostIp, port, tags, key, join: peer }: ForeignOrder): Promise<ForeignAgent> {
  const file = join(root, `foreign-${port}.json`);
  const config = {
    node_name: `foreign-${port}`,
    bind: `${hostIp}:${port}`,
    rpc_addr: `127.0.0.1:${port + 1000}`,
    tags,
    retry_join: [peer],
    retry_interval: '1s',
    ...(key !== undefined && { encrypt_key: key }),
  };
  await writeFile(file, JSON.stringify(config), { mode: 0o600 });
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', '/usr/bin/serf', 'agent', '-config-file', file], {
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  const listening = () => knock(`${hostIp}:${port}`, 1000, new AbortController().signal);
  let listens = await listening();
  for (const end = performance.now() + START_MS; !listens && child.exitCode === null && performance.now() < end; ) {
    await sleep(20);
    listens = await listening();
  }
  return {
    child,
    listens,
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Output of the `serf` command against the agent whose files are in `folder`. */
export function serf(folder: string, ...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const lines = readFileSync(join(folder, 'rpc.env'), 'utf8').trim().split('\n');
  const environment = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
  const { status, stdout, stderr } = spawnSync('/usr/bin/serf', args, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...environment },
  });
  return { code: status, stdout, stderr };
}
