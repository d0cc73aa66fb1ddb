/**
 * What must be true, computed without any of the product's code but the naming of its kernel objects: which stacks each stack
 * is connected to, and what its router's kernel therefore holds. Pure.
 */

export interface ModelStack {
  readonly name: string;
  readonly host: number;
  /** First three numbers of its /24. */
  readonly net: string;
  readonly mac: string;
  /** UDP port of its tunnel on its host. */
  readonly port: number;
}

/** Tables of a router as sorted lines, so that two of them are compared, and their difference shown, line by line. */
export type Tables = Readonly<
  Record<'self' | 'routes' | 'neighbours' | 'unicast' | 'flood' | 'nexthops' | 'sources', readonly string[]>
>;

/** What stops hosts from reaching each other at the moment. */
export interface Damage {
  /** Hosts that are off, or without their cable. */
  readonly away: ReadonlySet<number>;
  /** Stacks whose containers are down. */
  readonly down: ReadonlySet<string>;
}

export const WHOLE: Damage = { away: new Set(), down: new Set() };

/** Whether `a` must reach `b`. Two stacks on one host reach each other also while that host is without its cable. */
export function connected(a: ModelStack, b: ModelStack, { away, down }: Damage): boolean {
  if (a.name === b.name || down.has(a.name) || down.has(b.name)) return false;
  return a.host === b.host || !(away.has(a.host) || away.has(b.host));
}

const sorted = (lines: string[]) => [...new Set(lines)].sort();

export function expectedTables(
  of: ModelStack,
  all: readonly ModelStack[],
  damage: Damage,
  addressOf: (host: number) => string,
): Tables {
  const peers = all.filter((other) => connected(of, other, damage));
  const endpoint = ({ host, port }: ModelStack) => `${addressOf(host)}:${port}`;
  return {
    self: sorted([`gateway ${of.net}.2`, 'tunnel up']),
    routes: sorted(peers.map(({ net }) => `${net}.0/24 via ${net}.2`)),
    neighbours: sorted(peers.map(({ net, mac }) => `${net}.2 ${mac}`)),
    unicast: sorted(peers.map((peer) => `${peer.mac} ${endpoint(peer)}`)),
    flood: sorted(peers.map(endpoint)),
    nexthops: sorted(peers.map(({ net }) => `${net}.0 : ${net}.2`)),
    sources: sorted(peers.map(({ net, mac }) => `${mac} . ${net}.0`)),
  };
}

/** Lines that one has and the other has not; empty when equal. */
export function differences(want: Tables, have: Tables): string[] {
  return (Object.keys(want) as (keyof Tables)[]).flatMap((table) => [
    ...want[table].filter((line) => !have[table].includes(line)).map((line) => `${table}: lacks ${line}`),
    ...have[table].filter((line) => !want[table].includes(line)).map((line) => `${table}: must not have ${line}`),
  ]);
}

type Row = Readonly<Record<string, unknown>>;
const isRow = (value: unknown): value is Row => typeof value === 'object' && value !== null;

function rowsOf(text: string): Row[] {
  const value: unknown = text.trim() === '' ? [] : JSON.parse(text);
  return Array.isArray(value) ? value.filter(isRow) : [];
}

function elementsOf(nft: string, prefix: string): string[] {
  const words = (item: unknown): string => {
    if (Array.isArray(item)) return item.map(words).join(' : ');
    // An element with a counter has it wrapped around.
    if (isRow(item) && isRow(item.elem) && 'val' in item.elem) return words(item.elem.val);
    return isRow(item) && Array.isArray(item.concat) ? item.concat.map(words).join(' . ') : String(item);
  };
  const listing = nft.trim() === '' ? { nftables: [] } : (JSON.parse(nft) as { nftables: Row[] });
  const sets = listing.nftables.flatMap((row) => [row.set, row.map]).filter(isRow);
  return sets
    .filter(({ name }) => String(name).startsWith(prefix))
    .flatMap(({ elem }) => (Array.isArray(elem) ? elem.map(words) : []));
}

/** The address that the stack's services have as their gateway, and whether the tunnel's device is up. */
function selfLines({ ifname, flags, addr_info }: Row): string[] {
  if (ifname === 'vxlan0') return [Array.isArray(flags) && flags.includes('UP') ? 'tunnel up' : 'tunnel down'];
  const addresses = Array.isArray(addr_info) ? addr_info.filter(isRow) : [];
  return addresses.filter(({ label }) => String(label).endsWith(':gw')).map(({ local }) => `gateway ${local}`);
}

/** Listings of `ip -j addr`, `ip -j route`, `ip -j neigh`, `bridge -j fdb` and `nft -j list table` as tables; `port` is the device's own. */
export function readTables(
  listings: { links: string; routes: string; neighbours: string; fdb: string; nft: string },
  port: number,
): Tables {
  const fdb = rowsOf(listings.fdb).filter(({ dst }) => dst !== undefined);
  const endpoint = (row: Row) => `${row.dst}:${row.port ?? port}`;
  const isFlood = (row: Row) => row.mac === '00:00:00:00:00:00';
  return {
    self: sorted(rowsOf(listings.links).flatMap(selfLines)),
    routes: sorted(
      rowsOf(listings.routes)
        .filter(({ dev, protocol }) => dev === 'vxlan0' && String(protocol) === '157')
        .map(({ dst, gateway }) => `${dst} via ${gateway}`),
    ),
    neighbours: sorted(
      rowsOf(listings.neighbours)
        .filter(({ state }) => String(state).includes('PERMANENT'))
        .map(({ dst, lladdr }) => `${dst} ${lladdr}`),
    ),
    unicast: sorted(fdb.filter((row) => !isFlood(row)).map((row) => `${row.mac} ${endpoint(row)}`)),
    flood: sorted(fdb.filter(isFlood).map(endpoint)),
    nexthops: sorted(elementsOf(listings.nft, 'nexthops_')),
    sources: sorted(elementsOf(listings.nft, 'sources_')),
  };
}
