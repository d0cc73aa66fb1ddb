/** The chaos campaign's own parts: a model that is wrong would find nothing, or everything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { schedule } from '../chaos/campaign.ts';
import { FAULTS } from '../chaos/faults.ts';
import { connected, differences, expectedTables, type ModelStack, readTables, WHOLE } from '../chaos/model.ts';

const stack = (name: string, host: number, n: number): ModelStack => ({
  name,
  host,
  net: `172.21.${n}`,
  mac: `02:00:00:00:00:0${n}`,
  port: 4788 + n,
});
const [a, b, c] = [stack('a', 1, 1), stack('b', 1, 2), stack('c', 2, 3)];
const address = (host: number) => `10.77.0.${host}`;

test('without its cable a host keeps its own stacks connected, and no others', () => {
  const damage = { away: new Set([1]), down: new Set<string>() };
  assert.deepEqual([connected(a, b, damage), connected(a, c, damage), connected(a, c, WHOLE)], [true, false, true]);
  assert.deepEqual(expectedTables(c, [a, b, c], damage, address).routes, []);
  assert.deepEqual(expectedTables(a, [a, b, c], { away: new Set(), down: new Set(['b']) }, address).routes, [
    '172.21.3.0/24 via 172.21.3.2',
  ]);
});

test('listings as the kernel gives them equal what is expected, and one line more or less is named', () => {
  const listings = {
    links: JSON.stringify([
      {
        ifname: 'eth0',
        flags: ['UP'],
        addr_info: [
          { local: '172.21.1.3', label: 'eth0' },
          { local: '172.21.1.2', label: 'eth0:gw' },
        ],
      },
      { ifname: 'vxlan0', flags: ['UP'], addr_info: [] },
    ]),
    routes: JSON.stringify([
      { dst: 'default', gateway: '172.21.1.1', dev: 'eth0', protocol: '157' },
      { dst: '172.21.3.0/24', gateway: '172.21.3.2', dev: 'vxlan0', protocol: '157' },
    ]),
    neighbours: JSON.stringify([{ dst: '172.21.3.2', lladdr: '02:00:00:00:00:03', state: ['PERMANENT'] }]),
    fdb: JSON.stringify([
      { mac: '02:00:00:00:00:03', dst: '10.77.0.2', port: 4791 },
      { mac: '00:00:00:00:00:00', dst: '10.77.0.2', port: 4791 },
      { mac: '33:33:00:00:00:01' },
    ]),
    nft: JSON.stringify({
      nftables: [
        { map: { name: 'nexthops_24', elem: [['172.21.3.0', '172.21.3.2']] } },
        {
          set: {
            name: 'sources_24',
            elem: [
              { elem: { val: { concat: ['02:00:00:00:00:03', '172.21.3.0'] }, counter: { packets: 1, bytes: 2 } } },
            ],
          },
        },
      ],
    }),
  };
  const want = expectedTables(a, [a, c], WHOLE, address);
  assert.deepEqual(differences(want, readTables(listings, 4789)), []);
  assert.deepEqual(differences(want, readTables({ ...listings, neighbours: '[]' }, 4789)), [
    'neighbours: lacks 172.21.3.2 02:00:00:00:00:03',
  ]);
  const more = expectedTables(a, [a], WHOLE, address);
  assert.ok(
    differences(more, readTables(listings, 4789)).includes('routes: must not have 172.21.3.0/24 via 172.21.3.2'),
  );
});

test('a seed gives the same faults in the same order, each once before any comes again', () => {
  const first = (seed: number, n: number) => {
    const faults = schedule(seed, []);
    return Array.from({ length: n }, () => (faults.next().value as { name: string }).name);
  };
  assert.deepEqual(first(7, 100), first(7, 100));
  assert.notDeepEqual(first(7, 20), first(8, 20));
  assert.equal(new Set(first(7, FAULTS.length)).size, FAULTS.length);
});
