/** Asks the kernel what is there. */
import { CommandError, type Result, run, runOk } from '../process/run.ts';
import type { NftState, Observed } from './observed.ts';
import { NFT_TABLE, VXLAN_DEVICE } from './owned.ts';
import { overlayRoutes, parseFdb, parseLinks, parseNeighbours, parseOwnPolicy, parseRoutes } from './parse-ip.ts';
import { EMPTY_NFT, parseNft } from './parse-nft.ts';

async function nftTable(family: 'netdev' | 'ip'): Promise<NftState> {
  const result = await run(['nft', '-j', 'list', 'table', family, NFT_TABLE]);
  if (result.code === 0) return parseNft(result.stdout);
  // Anything but "no such table" (no permission, an unreadable table) must not look like an empty table.
  if (/No such file or directory/.test(result.stderr)) return EMPTY_NFT;
  throw new Error(`nft cannot list table ${family} ${NFT_TABLE}: ${result.stderr.trim().split('\n')[0]}`);
}

const NEIGHBOURS = ['ip', '-j', '-4', 'neigh', 'show', 'dev', VXLAN_DEVICE, 'nud', 'permanent'] as const;
const FDB = ['bridge', '-j', 'fdb', 'show', 'dev', VXLAN_DEVICE] as const;

function outputOf(argv: readonly string[], result: Result): string {
  if (result.code !== 0) throw new CommandError(argv, result);
  return result.stdout;
}

const NO_TABLES = { neighbours: new Map(), unicast: new Map(), flood: new Set<string>() };

/** All listings at once; those of vxlan0 fail, and are not needed, while there is none. @throws Error when a listing fails or is not understood. */
export async function observe(): Promise<Observed> {
  const [linkJson, routeJson, ruleJson, netdev, ip, neighbours, fdb] = await Promise.all([
    runOk(['ip', '-j', '-d', 'address', 'show']),
    runOk(['ip', '-j', '-4', 'route', 'show', 'table', 'all']),
    runOk(['ip', '-j', '-4', 'rule', 'show']),
    nftTable('netdev'),
    nftTable('ip'),
    run(NEIGHBOURS),
    run(FDB),
  ]);
  const { links, addresses } = parseLinks(linkJson);
  const routes = parseRoutes(routeJson);
  const port = links.find(({ name }) => name === VXLAN_DEVICE)?.vxlan?.port;
  const tables =
    port === undefined
      ? NO_TABLES
      : { neighbours: parseNeighbours(outputOf(NEIGHBOURS, neighbours)), ...parseFdb(outputOf(FDB, fdb), port) };
  const own = parseOwnPolicy(ruleJson, routeJson);
  return { links, addresses, routes, overlay: { routes: overlayRoutes(routes), ...tables }, own, netdev, ip };
}
