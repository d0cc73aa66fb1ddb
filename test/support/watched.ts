/** Programs that tell what happens, line by line, while a test goes on. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { inside } from '../../src/embedded/namespaces.ts';
import { routerNamespace, type Topology } from '../../src/embedded/topology.ts';

/** A program whose lines are read until it is stopped. */
export interface Watched {
  stop(): Promise<void>;
}

/** Starts a program and is told its lines. */
export function watchLines(argv: readonly string[], onLine: (line: string) => void): Watched {
  const [program, ...args] = ['setpriv', '--pdeathsig', 'KILL', ...argv];
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  createInterface({ input: child.stdout }).on('line', onLine);
  return {
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Tells of every change of a router's IPv4 routes, as `ip monitor route` prints it. */
export function watchRoutes(topology: Topology, stack: string, onLine: (line: string) => void): Watched {
  const argv = ['stdbuf', '-oL', 'ip', '-4', 'monitor', 'route'];
  return watchLines(inside(routerNamespace(topology, { name: stack }), argv), onLine);
}
