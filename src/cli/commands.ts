/** The commands of `docker-router`, in the order in which its help lists them. A further one is a line here and a file. */
import type { Command } from './command.ts';

export const COMMANDS: Readonly<Record<string, Command>> = {
  run: {
    summary: 'forward between this stack and the others (what the container does)',
    load: () => import('./run.ts'),
  },
  init: {
    summary: 'write the file that connects your stack, next to your compose file',
    load: () => import('./init.ts'),
  },
  map: { summary: 'show the stacks, hosts and tunnels as a page in the browser', load: () => import('./map.ts') },
  status: {
    summary: 'this stack and all the others, with round trip, loss and reasons',
    load: () => import('./status.ts'),
  },
  trust: {
    summary: 'the identities this stack knows: list, forget (in the discovery container)',
    load: () => import('../trust/command.ts'),
  },
  doctor: {
    summary: 'what goes wrong in practice, checked in order, with the line that mends it',
    load: () => import('./doctor.ts'),
  },
};
