/** The machine somebody sits at: an ssh that never asks and shares its connections, and the Docker client that uses it. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type DockerContext, dockerContexts } from './docker-contexts.ts';
import { quoteCommand } from './quote.ts';
import { Refused } from './refused.ts';

/** A dead host is found out after 6 to 8 s: in time to be named within 15 s on a busy desk, and patient with a slow one. */
const ALIVE_INTERVAL_S = 2;
const ALIVE_COUNT = 3;
const CONNECT_S = 8;
/** sun_path has 104 to 108 bytes: ssh takes 57 for its name while it connects, our folder 12. */
const MAX_BASE = 32;

export interface Desk {
  readonly folder: string;
  /** Environment of `docker`: our ssh comes first in its PATH. */
  readonly environment: NodeJS.ProcessEnv;
  /** Options of every ssh. */
  readonly sshOptions: readonly string[];
  /** Docker's contexts as they were at the beginning. */
  readonly docker: readonly DockerContext[];
  /** Where the engine of this machine listens, if there is one. */
  readonly localEngine: string;
  close(): void;
}

/** Nothing may ask a question in the middle: what would need a password fails instead, with the reason. */
export function sshOptions(sockets: string): string[] {
  const settings = {
    BatchMode: 'yes',
    ConnectTimeout: CONNECT_S,
    ServerAliveInterval: ALIVE_INTERVAL_S,
    ServerAliveCountMax: ALIVE_COUNT,
    // One connection a host: the first login costs some 100 ms, the next ones share it for 10.
    ControlMaster: 'no',
    ControlPath: `"${sockets}/%C"`,
    ClearAllForwardings: 'yes',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** Docker calls whatever `ssh` it finds in PATH, with options of its own: this one adds ours in front. */
export function sshWrapper(options: readonly string[], path: string): string {
  return `#!/bin/sh\nPATH=${quoteCommand([path])}\nexec ssh ${quoteCommand(options)} "$@"\n`;
}

const SOCKET = 'unix://';
const USUAL_ENGINE = `${SOCKET}/var/run/docker.sock`;

/** What `docker` uses when nobody says otherwise, unless that is on another machine: rootless engines and desktops have contexts of their own. */
export function localEngineOf(docker: readonly DockerContext[], dockerHost: string | undefined): string {
  if (dockerHost) return dockerHost;
  const current = docker.find((context) => context.current)?.endpoint;
  return current?.startsWith(SOCKET) ? current : USUAL_ENGINE;
}

/** Without a socket there is no engine to be started either: a desk, not a host. */
export const hasLocalEngine = ({ localEngine }: Desk): boolean =>
  !localEngine.startsWith(SOCKET) || existsSync(localEngine.slice(SOCKET.length));

/** Prepares a private folder with the wrapper. `close` removes it. @throws Refused when there is no Docker client */
export async function openDesk(): Promise<Desk> {
  const docker = await dockerContexts().catch((cause: Error) => {
    throw new Refused([`the Docker client does not work here: ${cause.message}`]);
  });
  const base = tmpdir().length > MAX_BASE ? '/tmp' : tmpdir();
  const folder = mkdtempSync(join(base, 'drq-'));
  const options = sshOptions(folder);
  const path = process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin';
  writeFileSync(join(folder, 'ssh'), sshWrapper(options, path), { mode: 0o700 });
  const { DOCKER_HOST: host, DOCKER_CONTEXT: _context, ...inherited } = process.env;
  return {
    folder,
    environment: { ...inherited, PATH: `${folder}${delimiter}${path}` },
    sshOptions: options,
    docker,
    localEngine: localEngineOf(docker, host),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
