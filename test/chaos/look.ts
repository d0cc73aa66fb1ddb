/** Whether a stack's daemons run, and what its router's kernel holds; read from outside. */
import { readTables, type Tables } from './model.ts';

export const ROLES = ['discovery', 'router'] as const;
type Role = (typeof ROLES)[number];

export interface Look {
  /** Daemons without a process. A kernel may be right while its daemon is still away, and what comes next would then hit two at once. */
  readonly away: readonly Role[];
  readonly tables: Tables;
  /** UDP port of the tunnel. */
  readonly port: number;
}

/** Prints it; the parts are told apart by lines of their own. `$1` and `$2` are the containers, in the order of ROLES. */
const LOOK = [
  'set -- $(docker inspect -f "{{.State.Pid}}" "$1" "$2")',
  'n="nsenter --net=/proc/$2/ns/net"',
  // The supervising shell and tini have other names.
  'daemon() { pgrep --ns "$1" --nslist pid "^(node|MainThread|docker-router)" | wc -l; }',
  'echo "=== $(daemon "$1") $(daemon "$2")"',
  ...[
    'ip -j -d addr show',
    'ip -j -4 route show',
    'ip -j -4 neigh show dev vxlan0',
    'bridge -j fdb show dev vxlan0',
    'nft -j list table netdev docker_router',
  ].map((command) => `echo; echo "=== $($n ${command} 2>/dev/null | tr -d "\\n")"`),
].join('; ');

/** A line of shell for the stack's host. */
export const lookLine = (containerOf: (role: Role) => string): string =>
  `set -- ${ROLES.map(containerOf).join(' ')}; ${LOOK}`;

/** What that printed. undefined when it is not whole, as of a router that is not there. */
export function readLook(output: string): Look | undefined {
  const [daemons, links, routes, neighbours, fdb, nft] = output
    .split('\n')
    .flatMap((line) => (line.startsWith('=== ') ? [line.slice(4)] : []));
  if (nft === undefined) return undefined;
  try {
    const rows = JSON.parse(links || '[]') as { ifname: string; linkinfo?: { info_data?: { port?: number } } }[];
    const port = rows.find(({ ifname }) => ifname === 'vxlan0')?.linkinfo?.info_data?.port;
    if (port === undefined) return undefined;
    const counts = daemons!.split(' ');
    return {
      away: ROLES.filter((_, n) => counts[n] === '0'),
      tables: readTables({ links: links!, routes: routes!, neighbours: neighbours!, fdb: fdb!, nft }, port),
      port,
    };
  } catch {
    return undefined;
  }
}
