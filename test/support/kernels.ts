/** A kernel in memory for tests of pure parts: what `observe` would show. */

import type { Overlay } from '../../src/desired/overlay.ts';
import { ruleMark, type Table } from '../../src/desired/ruleset.ts';
import type { NftState, Observed } from '../../src/kernel/observed.ts';

const NO_NFT: NftState = { chains: new Map(), elements: new Map() };

/** A router's namespace as Docker makes it: eth0 172.30.0.3/24, default route to the steered gateway address. */
export function freshRouter(changes: Partial<Observed> = {}): Observed {
  return {
    links: [
      { name: 'lo', mac: '00:00:00:00:00:00', mtu: 65536, up: true },
      { name: 'eth0', mac: '02:42:ac:1e:00:03', mtu: 1500, up: true },
    ],
    addresses: [
      { device: 'lo', address: '127.0.0.1', length: 8, label: 'lo' },
      { device: 'eth0', address: '172.30.0.3', length: 24, label: 'eth0' },
    ],
    routes: [
      { destination: 'default', via: '172.30.0.2', device: 'eth0', protocol: 'boot', metric: 0 },
      { destination: '172.30.0.0/24', device: 'eth0', protocol: 'kernel', metric: 0 },
    ],
    overlay: { routes: new Map(), neighbours: new Map(), unicast: new Map(), flood: new Set() },
    own: { rule: false, route: false },
    netdev: NO_NFT,
    ip: NO_NFT,
    ...changes,
  };
}

/** The kernel after a plan for these tables and overlay was applied. */
export function settled(overlay: Overlay, tables: readonly Table[], base = freshRouter()): Observed {
  const nft = (table: Table): NftState => ({
    chains: new Map(table.chains.map((chain) => [chain.name, chain.rules.map((rule) => ruleMark(chain, rule))])),
    elements: new Map(table.sets.map(({ name }) => [name, overlay.elements.get(name) ?? new Set()])),
  });
  const pair = ['self0', 'self1'].map(
    (name) => ({ name, mac: '02:00:00:00:00:09', mtu: 1450, up: true, noarp: true }) as const,
  );
  const links = [...base.links, ...pair];
  const own = { rule: true, route: true };
  return { ...base, links, overlay: overlay.tables, own, netdev: nft(tables[0]!), ip: nft(tables[1]!) };
}
