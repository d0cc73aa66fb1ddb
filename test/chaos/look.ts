/** What a router's kernel holds, read from outside. */
import { readTables, type Tables } from './model.ts';

/** Prints what a router's kernel holds; the parts are told apart by lines of their own. */
const LOOK = [
  'pid=$(docker inspect -f "{{.State.Pid}}" "$1")',
  'n="nsenter --net=/proc/$pid/ns/net"',
  ...[
    'ip -j -d addr show',
    'ip -j -4 route show',
    'ip -j -4 neigh show dev vxlan0',
    'bridge -j fdb show dev vxlan0',
    'nft -j list table netdev docker_router',
  ].map((command) => `echo; echo "=== $($n ${command} 2>/dev/null | tr -d "\\n")"`),
].join('; ');

/** A line of shell for the router's host. */
export const lookLine = (container: string): string => `set -- ${container}; ${LOOK}`;

/** What that printed: the tables, and the UDP port of the tunnel. undefined when it is not whole, as of a router that is not there. */
export function readLook(output: string): { tables: Tables; port: number } | undefined {
  const [links, routes, neighbours, fdb, nft] = output
    .split('\n')
    .flatMap((line) => (line.startsWith('=== ') ? [line.slice(4)] : []));
  if (nft === undefined) return undefined;
  try {
    const rows = JSON.parse(links || '[]') as { ifname: string; linkinfo?: { info_data?: { port?: number } } }[];
    const port = rows.find(({ ifname }) => ifname === 'vxlan0')?.linkinfo?.info_data?.port;
    if (port === undefined) return undefined;
    return {
      tables: readTables({ links: links!, routes: routes!, neighbours: neighbours!, fdb: fdb!, nft }, port),
      port,
    };
  } catch {
    return undefined;
  }
}
