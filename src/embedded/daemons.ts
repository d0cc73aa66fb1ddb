/** The two daemons of each stack: the same bundles as in the images, each in the namespace that Docker would give its container. */
import { readFileSync } from 'node:fs';
import { cp, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { healthFileOf, logFolder, logOf, processFolder, programFolder, volumeOf } from './folders.ts';
import { handleOf, inside } from './namespaces.ts';
import { endProcesses, launch, type Tracked } from './processes.ts';
import {
  DEFAULT_VNI,
  type Environment,
  hostAddress,
  hostNamespace,
  ROLES,
  type Role,
  routerNamespace,
  type Stack,
  type Topology,
} from './topology.ts';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
export const BUNDLES: Readonly<Record<Role, string>> = {
  discovery: 'docker-router-discovery.mjs',
  router: 'docker-router.mjs',
};

export const processName = (stack: Pick<Stack, 'name'>, role: Role) => `${stack.name}-${role}`;

/** What a compose file would set. The topology's own variables first, since those of a shell must not move a stack. */
export function daemonEnvironment(topology: Topology, stack: Stack, role: Role): Environment {
  const { prefix } = topology;
  const host = hostNamespace(topology, stack.host);
  const place: Record<Role, Environment> = {
    discovery: {
      STACK_ID: stack.name,
      VNI: String(stack.vni ?? DEFAULT_VNI),
      HOST_IP: hostAddress(topology, stack.host),
    },
    router: { UNDERLAY_HANDLE: handleOf(host) },
  };
  return {
    PATH: process.env.PATH,
    ...topology.environment,
    STATE_DIR: volumeOf(prefix, stack.name),
    HEALTH_FILE: healthFileOf(prefix, stack.name, role),
    ...place[role],
    ...stack.environment?.[role],
  };
}

/** Discovery is on the host network, the router in the stack's. */
export function daemonNamespace(topology: Topology, stack: Stack, role: Role): string {
  return role === 'discovery' ? hostNamespace(topology, stack.host) : routerNamespace(topology, stack);
}

/** Copies the bundles. @throws Error when `npm run build` has not run. */
export async function installBundles(prefix: string): Promise<void> {
  for (const role of ROLES) {
    const from = join(REPOSITORY, role, 'dist');
    await stat(join(from, BUNDLES[role])).catch(() => {
      throw new Error(`${join(from, BUNDLES[role])} is missing; run: npm run build`);
    });
    await cp(from, join(programFolder(prefix), role), { recursive: true });
  }
}

/** Starts one daemon; also the way to start it again after it was ended. */
export async function startDaemon(topology: Topology, stack: Stack, role: Role): Promise<Tracked> {
  const { prefix } = topology;
  await mkdir(volumeOf(prefix, stack.name), { recursive: true });
  await mkdir(logFolder(prefix), { recursive: true });
  const bundle = join(programFolder(prefix), role, BUNDLES[role]);
  return launch(processFolder(prefix), {
    name: processName(stack, role),
    argv: inside(daemonNamespace(topology, stack, role), [process.execPath, bundle]),
    environment: daemonEnvironment(topology, stack, role),
    log: logOf(prefix, processName(stack, role)),
  });
}

/** Ends one daemon cleanly. Discovery alone says no goodbye: its stack goes on. */
export async function stopDaemon(topology: Topology, stack: Stack, role: Role): Promise<void> {
  await endProcesses(processFolder(topology.prefix), [processName(stack, role)]);
}

/** Ends both daemons of a stack cleanly and at once, as `docker compose down` does: the others are told. */
export async function stopStack(topology: Topology, stack: Stack): Promise<void> {
  const names = ROLES.map((role) => processName(stack, role));
  await endProcesses(processFolder(topology.prefix), names);
}

/** The last lines of a log, without the empty ones. */
export function logTail(path: string, lines: number): string[] {
  try {
    const all = readFileSync(path, 'utf8').split('\n');
    return all.filter((line) => line.trim() !== '').slice(-lines);
  } catch {
    return [];
  }
}
