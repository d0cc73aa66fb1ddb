/** `ip -j` and `bridge -j` output -> observed state. Pure; unknown fields and rows of other kinds are passed over. */
import * as v from 'valibot';
import { parseWith } from '../record/record.ts';
import type { Address, Link, OverlayTables, Route } from './observed.ts';
import { OWN_DEVICES, OWN_PATH, ROUTE_PROTOCOL, VXLAN_DEVICE } from './owned.ts';

const AddressRow = v.object({
  family: v.string(),
  local: v.string(),
  prefixlen: v.number(),
  label: v.optional(v.string(), ''),
});
const LinkRow = v.object({
  ifname: v.string(),
  address: v.optional(v.string(), ''),
  mtu: v.number(),
  flags: v.array(v.string()),
  link_netnsid: v.optional(v.number()),
  linkinfo: v.optional(
    v.object({
      info_kind: v.optional(v.string()),
      info_data: v.optional(v.looseObject({})),
    }),
  ),
  addr_info: v.optional(v.array(v.unknown()), []),
});
const VxlanData = v.object({
  id: v.number(),
  port: v.number(),
  local: v.optional(v.string()),
  learning: v.boolean(),
  udp_csum: v.optional(v.boolean(), true),
});
const RouteRow = v.object({
  dst: v.string(),
  gateway: v.optional(v.string()),
  dev: v.optional(v.string()),
  protocol: v.optional(v.string(), 'boot'),
  metric: v.optional(v.number(), 0),
  prefsrc: v.optional(v.string()),
  table: v.optional(v.string(), 'main'),
});
const RuleRow = v.object({
  priority: v.number(),
  fwmark: v.optional(v.string()),
  table: v.optional(v.string()),
  protocol: v.optional(v.string()),
});
const NeighbourRow = v.object({ dst: v.string(), lladdr: v.string(), state: v.array(v.string()) });
const FdbRow = v.object({
  mac: v.string(),
  dst: v.string(),
  port: v.optional(v.number()),
  state: v.optional(v.string()),
});

/** JSON array; iproute2 prints nothing at all, or `[{}]`, for an empty listing. @throws Error when it is neither. */
function rows(json: string): unknown[] {
  const value: unknown = json.trim() === '' ? [] : JSON.parse(json);
  if (!Array.isArray(value)) throw new Error('expected a JSON array from iproute2');
  return value;
}

function each<S extends v.GenericSchema>(schema: S, items: readonly unknown[]): v.InferOutput<S>[] {
  return items.flatMap((item) => {
    const parsed = v.safeParse(schema, item);
    return parsed.success ? [parsed.output] : [];
  });
}

function linkOf(row: v.InferOutput<typeof LinkRow>): Link {
  const noarp = row.flags.includes('NOARP') && ({ noarp: true } as const);
  const base = { name: row.ifname, mac: row.address, mtu: row.mtu, up: row.flags.includes('UP'), ...noarp };
  if (row.linkinfo?.info_kind !== 'vxlan') return base;
  const data = parseWith(VxlanData, row.linkinfo.info_data);
  if (!data.ok) return base;
  const { id: vni, ...rest } = data.value;
  return { ...base, vxlan: { vni, ...rest, foreignUnderlay: row.link_netnsid !== undefined } };
}

/** `ip -j -d address show` */
export function parseLinks(json: string): { links: Link[]; addresses: Address[] } {
  const found = each(LinkRow, rows(json));
  const addresses = found.flatMap((row) =>
    each(AddressRow, row.addr_info)
      .filter(({ family }) => family === 'inet')
      .map(({ local, prefixlen, label }) => ({ device: row.ifname, address: local, length: prefixlen, label })),
  );
  return { links: found.map(linkOf), addresses };
}

export interface Routes {
  /** The main table. */
  readonly routes: Route[];
  /** What leads the router's own packets, in a table of its own, is there. */
  readonly ownRoute: boolean;
}

/** `ip -j -4 route show table all`; a host route loses its /32 in the listing and gets it back here. */
export function parseRoutes(json: string): Routes {
  const all = each(RouteRow, rows(json));
  const ownRoute = all.some(
    ({ dst, dev, table }) => dst === 'default' && dev === OWN_DEVICES.out && table === String(OWN_PATH),
  );
  const main = all.filter(({ table }) => table === 'main');
  const routes = main.map(({ dst, gateway, dev, protocol, metric, prefsrc }) => ({
    destination: dst === 'default' || dst.includes('/') ? dst : `${dst}/32`,
    ...(gateway !== undefined && { via: gateway }),
    ...(dev !== undefined && { device: dev }),
    protocol,
    metric,
    ...(prefsrc !== undefined && protocol === String(ROUTE_PROTOCOL) && { source: prefsrc }),
  }));
  return { routes, ownRoute };
}

/** `ip -j -4 neigh show dev vxlan0`: the permanent entries. */
export function parseNeighbours(json: string): Map<string, string> {
  const permanent = each(NeighbourRow, rows(json)).filter(({ state }) => state.includes('PERMANENT'));
  return new Map(permanent.map(({ dst, lladdr }) => [dst, lladdr]));
}

/** `bridge -j fdb show dev vxlan0`; an entry to the device's own port is listed without it. */
export function parseFdb(json: string, devicePort: number): Pick<OverlayTables, 'unicast' | 'flood'> {
  const unicast = new Map<string, string>();
  const flood = new Set<string>();
  for (const { mac, dst, port = devicePort } of each(FdbRow, rows(json))) {
    if (mac === '00:00:00:00:00:00') flood.add(`${dst}:${port}`);
    else unicast.set(mac, `${dst}:${port}`);
  }
  return { unicast, flood };
}

/** Our routes over the overlay device. */
export function overlayRoutes(routes: readonly Route[]): Map<string, string> {
  const ours = routes.filter((route) => route.device === VXLAN_DEVICE && route.protocol === String(ROUTE_PROTOCOL));
  return new Map(ours.map(({ destination, via }) => [destination, via ?? '']));
}

/** Of `ip -j -4 rule show` whether the one that leads the router's own packets is there. */
export function parseOwnRule(json: string): boolean {
  const id = String(OWN_PATH);
  return each(RuleRow, rows(json)).some(
    ({ priority, fwmark, table, protocol }) =>
      priority === OWN_PATH && Number(fwmark) === OWN_PATH && table === id && protocol === String(ROUTE_PROTOCOL),
  );
}
