/** Asks the kernel what is there. */
import { CommandError, type Result, run, runOk } from '../process/run.ts';
import type { NftState, Observed, OverlayTables } from './observed.ts';
import { NFT_TABLE, VXLAN_DEVICE } from './owned.ts';
import { overlayRoutes, parseFdb, parseLinks, parseNeighbours, parseOwnRule, parseRoutes } from './parse-ip.ts';
import { EMPTY_NFT, parseNft } from './parse-nft.ts';

async function nftTable(family: 'netdev' | 'ip'): Promise<NftState> {
  const result = await run(['nft', '-j', 'list', 'table', family, NFT_TABLE]);
  if (result.code === 0) return parseNft(result.stdout);
  // Anything but "no such table" (no permission, an unreadable table) must not look like an empty table.
  if (/No such file or directory/.test(result.stderr)) return EMPTY_NFT;
  throw new Error(`nft cannot list table ${family} ${NFT_TABLE}: ${result.stderr.trim().split('\n')[0]}`);
}

const TABLES = ['ip', '-j', '-4', '-force', '-batch', '-'] as const;
const LISTINGS = ['rule show', 'route show table all', `neigh show dev ${VXLAN_DEVICE} nud permanent`];
const FDB = ['bridge', '-j', 'fdb', 'show', 'dev', VXLAN_DEVICE] as const;

function outputOf(argv: readonly string[], result: Result): string {
  if (result.code !== 0) throw new CommandError(argv, result);
  return result.stdout;
}

function deviceTables({ neighbours }: Tables, fdb: Result, port: number): Omit<OverlayTables, 'routes'> {
  if (neighbours === undefined)
    throw new Error(`ip cannot list the neighbours of ${VXLAN_DEVICE}, which was there a moment ago`);
  return { neighbours: parseNeighbours(neighbours), ...parseFdb(outputOf(FDB, fdb), port) };
}

const NO_TABLES = { neighbours: new Map(), unicast: new Map(), flood: new Set<string>() };

interface Tables {
  readonly rules: string;
  readonly routes: string;
  /** undefined without a device, when its listing fails. */
  readonly neighbours: string | undefined;
}

/** Three listings by one process, each a line of JSON. @throws CommandError when one of the first two fails. */
async function tables(): Promise<Tables> {
  const result = await run(TABLES, `${LISTINGS.join('\n')}\n`);
  const [rules, routes, neighbours = ''] = result.stdout.split('\n');
  const failed = [...result.stderr.matchAll(/^Command failed .*:(\d+)$/gm)].map(([, line]) => line);
  if (!rules || !routes || failed.some((line) => line !== '3')) throw new CommandError(TABLES, result);
  return { rules, routes, neighbours: failed.length === 0 ? neighbours : undefined };
}

/**
 * All listings at once; those of vxlan0 fail, and are not needed, while there is none.
 * @param known what a look a moment ago saw of nft, where only devices, addresses and routes were changed since: half of the work.
 * @throws Error when a listing fails or is not understood.
 */
export async function observe(known?: Pick<Observed, 'netdev' | 'ip'>): Promise<Observed> {
  const [linkJson, listed, netdev, ip, fdb] = await Promise.all([
    runOk(['ip', '-j', '-d', 'address', 'show']),
    tables(),
    known?.netdev ?? nftTable('netdev'),
    known?.ip ?? nftTable('ip'),
    run(FDB),
  ]);
  const { links, addresses } = parseLinks(linkJson);
  const { routes, ownRoute } = parseRoutes(listed.routes);
  const port = links.find(({ name }) => name === VXLAN_DEVICE)?.vxlan?.port;
  const overlay = port === undefined ? NO_TABLES : deviceTables(listed, fdb, port);
  const own = { rule: parseOwnRule(listed.rules), route: ownRoute };
  return { links, addresses, routes, overlay: { routes: overlayRoutes(routes), ...overlay }, own, netdev, ip };
}
