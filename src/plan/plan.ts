/** Desired state against the observed kernel -> the least batches that make them equal. Pure; an empty plan is the normal case. */

import type { NftElements, Overlay } from '../desired/overlay.ts';
import { ownPathPlan } from '../desired/own-path.ts';
import { elementLines, replaceTable, ruleMark, type Table } from '../desired/ruleset.ts';
import type { NftState, Observed, OverlayTables, Route } from '../kernel/observed.ts';
import { ROUTE_PROTOCOL, VXLAN_DEVICE } from '../kernel/owned.ts';
import { parsePrefix } from '../net/ipv4.ts';

/** Input for `ip -batch`, `bridge -batch` and `nft -f`, in the order in which they are applied: add before delete. */
export interface Plan {
  readonly bridgeAdd: readonly string[];
  readonly ipAdd: readonly string[];
  readonly nft: readonly string[];
  readonly ipDelete: readonly string[];
  readonly bridgeDelete: readonly string[];
}

export interface Desired {
  readonly overlay: Overlay;
  readonly tables: readonly Table[];
  /** Whether vxlan0 exists: without it nothing can be programmed on it. */
  readonly device: boolean;
  /** MTU of the way of the router's own packets; undefined where there is none. */
  readonly ownMtu: number | undefined;
}

export const EMPTY_PLAN: Plan = { bridgeAdd: [], ipAdd: [], nft: [], ipDelete: [], bridgeDelete: [] };

export function isEmpty(plan: Plan): boolean {
  return Object.values(plan).every((lines) => lines.length === 0);
}

/** Number of lines, for the log. */
export function planSize(plan: Plan): number {
  return Object.values(plan).reduce((sum, lines) => sum + lines.length, 0);
}

const FLOOD_MAC = '00:00:00:00:00:00';

function fdbLine(verb: string, mac: string, endpoint: string): string {
  const [address, port] = endpoint.split(':');
  return `fdb ${verb} ${mac} dev ${VXLAN_DEVICE} dst ${address} port ${port} self permanent`;
}

function missing<K, V>(from: ReadonlyMap<K, V>, to: ReadonlyMap<K, V>): [K, V][] {
  return [...from].filter(([key, value]) => to.get(key) !== value);
}

function absent<K>(from: Iterable<K>, to: { has(key: K): boolean }): K[] {
  return [...from].filter((key) => !to.has(key));
}

function fdbPlan(want: OverlayTables, have: OverlayTables): Pick<Plan, 'bridgeAdd' | 'bridgeDelete'> {
  return {
    bridgeAdd: [
      ...missing(want.unicast, have.unicast).map(([mac, endpoint]) => fdbLine('replace', mac, endpoint)),
      ...absent(want.flood, have.flood).map((endpoint) => fdbLine('append', FLOOD_MAC, endpoint)),
    ],
    bridgeDelete: [
      ...absent(have.unicast.keys(), want.unicast).map((mac) => fdbLine('del', mac, have.unicast.get(mac)!)),
      ...absent(have.flood, want.flood).map((endpoint) => fdbLine('del', FLOOD_MAC, endpoint)),
    ],
  };
}

/** Only a route of ours is changed in place; `add` stands aside where somebody else's has the same metric. */
function routePlan(want: OverlayTables, have: OverlayTables): Pick<Plan, 'ipAdd' | 'ipDelete'> {
  const route = (verb: string, subnet: string, via: string) =>
    `route ${verb} ${subnet} via ${via} dev ${VXLAN_DEVICE} onlink proto ${ROUTE_PROTOCOL} metric ${routeMetric(subnet)}`;
  return {
    ipAdd: [
      ...missing(want.neighbours, have.neighbours).map(
        ([address, mac]) => `neigh replace ${address} lladdr ${mac} dev ${VXLAN_DEVICE} nud permanent`,
      ),
      ...missing(want.routes, have.routes).map(([subnet, via]) =>
        route(have.routes.has(subnet) ? 'change' : 'add', subnet, via),
      ),
    ],
    ipDelete: [
      ...absent(have.routes.keys(), want.routes).map(
        (subnet) => `route del ${subnet} dev ${VXLAN_DEVICE} proto ${ROUTE_PROTOCOL}`,
      ),
      ...absent(have.neighbours.keys(), want.neighbours).map((address) => `neigh del ${address} dev ${VXLAN_DEVICE}`),
    ],
  };
}

/** Routes with our mark to a peer's subnet that do not go into the overlay: somebody altered one, and `add` would meet it there. */
function strayPlan(want: OverlayTables, routes: readonly Route[]): string[] {
  const strays = routes.filter(
    ({ destination, device, protocol }) =>
      protocol === String(ROUTE_PROTOCOL) && device !== VXLAN_DEVICE && want.routes.has(destination),
  );
  return strays.map(
    ({ destination, device, metric }) =>
      `route del ${destination}${device === undefined ? '' : ` dev ${device}`} proto ${ROUTE_PROTOCOL} metric ${metric}`,
  );
}

/**
 * A metric for each subnet, 1 to 65536: which one does not matter, that they differ does. The kernel keeps routes by protocol, device and
 * metric in a hash table, so with one metric for all it walks through every one of them for each that is added (docs/decisions/0006).
 */
export function routeMetric(subnet: string): number {
  const { base, length } = parsePrefix(subnet)!;
  return ((base >>> (32 - length)) % 65_536) + 1;
}

function sameStructure(table: Table, have: NftState): boolean {
  return (
    table.chains.length === have.chains.size &&
    table.sets.length === have.elements.size &&
    table.sets.every(({ name }) => have.elements.has(name)) &&
    table.chains.every((chain) => {
      const marks = have.chains.get(chain.name);
      return marks?.length === chain.rules.length && chain.rules.every((rule, i) => marks[i] === ruleMark(chain, rule));
    })
  );
}

function elementPlan(family: Table['family'], want: NftElements, have: NftElements): string[] {
  const lines: string[] = [];
  for (const name of new Set([...want.keys(), ...have.keys()])) {
    const wanted = want.get(name) ?? new Set();
    const present = have.get(name) ?? new Set();
    // A map's key must go before it can come back with another value; one transaction, so no packet sees the gap.
    lines.push(...elementLines('delete', family, name, absent(present, wanted).map(keyOf)));
    lines.push(...elementLines('add', family, name, absent(wanted, present)));
  }
  return lines;
}

function nftPlan(table: Table, have: NftState, elements: NftElements): string[] {
  if (!sameStructure(table, have)) return [replaceTable(table, elements)];
  if (table.sets.length === 0) return [];
  const own = new Map([...elements].filter(([name]) => table.sets.some((set) => set.name === name)));
  return elementPlan(table.family, own, have.elements);
}

/** Deleting a map's element takes its key alone. */
function keyOf(element: string): string {
  return element.split(' : ')[0]!;
}

/** From one overlay to another whose sets are the same: what differs between the two, whatever the kernel holds. */
export function overlayPlan(want: Overlay, have: Overlay): Plan {
  const nft = elementPlan('netdev', want.elements, have.elements);
  return { ...fdbPlan(want.tables, have.tables), ...routePlan(want.tables, have.tables), nft };
}

export function makePlan(desired: Desired, observed: Observed): Plan {
  const { overlay, tables, device, ownMtu } = desired;
  const states = { netdev: observed.netdev, ip: observed.ip };
  const nft = tables.flatMap((table) => nftPlan(table, states[table.family], overlay.elements));
  if (!device) return { ...EMPTY_PLAN, nft };
  const routes = routePlan(overlay.tables, observed.overlay);
  const own = ownMtu === undefined ? [] : ownPathPlan(ownMtu, observed);
  const ipAdd = [...strayPlan(overlay.tables, observed.routes), ...routes.ipAdd, ...own];
  return { ...fdbPlan(overlay.tables, observed.overlay), ...routes, ipAdd, nft };
}

/** For golden tests and debug logs: what would be run, as text. */
export function planText(plan: Plan): string {
  const section = (title: string, lines: readonly string[]) => lines.map((line) => `${title} ${line.trimEnd()}`);
  return [
    ...section('bridge', plan.bridgeAdd),
    ...section('ip', plan.ipAdd),
    ...section('nft', plan.nft),
    ...section('ip', plan.ipDelete),
    ...section('bridge', plan.bridgeDelete),
  ].join('\n');
}
