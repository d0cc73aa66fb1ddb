/** The chaos campaign's own parts: a model that is wrong would find nothing, or everything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS } from '../chaos/faults.ts';
import { connected, differences, expectedTables, type ModelStack, readTables, WHOLE } from '../chaos/model.ts';
import { choices, possible, schedule } from '../chaos/schedule.ts';
import type { Fault } from '../chaos/stage.ts';

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

const place = { source: 'multicast', hasPrevious: true } as const;
const names = (seed: number, n: number, where: Parameters<typeof schedule>[1] = place) => {
  const faults = schedule(seed, where);
  return Array.from({ length: n }, () => {
    const { name, detail } = faults.next().value as Fault;
    return detail ?? name;
  });
};

test('a seed gives the same faults in the same order; all of them in three rounds, and several at once', () => {
  assert.deepEqual(names(7, 300), names(7, 300));
  assert.notDeepEqual(names(7, 20), names(8, 20));
  const three = names(7, 3 * (FAULTS.length + 6));
  for (const { name } of possible(place)) assert.ok(three.includes(name), name);
  assert.ok(three.some((name) => name.includes(' + ')));
});

test('what a source does not have, and an upgrade without an earlier image, does not come', () => {
  const etcd = names(7, 300, { source: 'etcd', hasPrevious: false });
  assert.ok(etcd.includes('server-killed') && !etcd.includes('multicast-lost') && !etcd.includes('upgraded'));
  assert.ok(!names(7, 300).includes('server-killed'));
});

test('whom a fault hits depends on the seed and its number alone', () => {
  assert.equal(choices(7, 12)(), choices(7, 12)());
  assert.notEqual(choices(7, 12)(), choices(7, 13)());
  assert.notEqual(choices(7, 12)(), choices(8, 12)());
});
