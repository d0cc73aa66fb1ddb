import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { overlayRoutes, parseFdb, parseLinks, parseNeighbours, parseRoutes } from '../../src/kernel/parse-ip.ts';
import { parseNft } from '../../src/kernel/parse-nft.ts';
import { parseRecord } from '../../src/record/record.ts';
import { parseDiscovery } from '../../src/router/discovery-input.ts';
import { decodeMessage, encodeMessage } from '../../src/sources/multicast/message.ts';
import { record } from '../support/records.ts';

// Captured from iproute2 6.1 and nft 1.0.6, shortened to what matters.
const LINKS = `[{"ifname":"eth0","flags":["BROADCAST","UP"],"mtu":1500,"address":"76:12:22:aa:84:bb","addr_info":[{"family":"inet","local":"172.30.0.5","prefixlen":24,"label":"eth0"},{"family":"inet6","local":"fe80::1","prefixlen":64}]},
{"ifname":"vxlan0","flags":["UP"],"mtu":1450,"address":"82:69:18:88:39:f0","link_netnsid":0,"linkinfo":{"info_kind":"vxlan","info_data":{"id":1000,"local":"10.0.0.1","port":4789,"learning":false,"ttl":0}},"addr_info":[]}]`;

test('links and addresses', () => {
  const { links, addresses } = parseLinks(LINKS);
  assert.deepEqual(addresses, [{ device: 'eth0', address: '172.30.0.5', length: 24, label: 'eth0' }]);
  assert.deepEqual(links[1], {
    name: 'vxlan0',
    mac: '82:69:18:88:39:f0',
    mtu: 1450,
    up: true,
    vxlan: { vni: 1000, port: 4789, local: '10.0.0.1', learning: false, udp_csum: true, foreignUnderlay: true },
  });
});

test('routes: ours are told from others by device and protocol, host routes get their length back', () => {
  const { routes } = parseRoutes(`[{"dst":"172.30.0.0/24","dev":"eth0","protocol":"kernel"},
    {"dst":"172.31.0.0/24","gateway":"172.31.0.2","dev":"vxlan0","protocol":"157","flags":["onlink"]},
    {"dst":"172.31.9.9","gateway":"172.31.0.2","dev":"vxlan0","protocol":"157"},
    {"dst":"10.9.0.0/16","gateway":"172.31.0.2","dev":"vxlan0","protocol":"static"}]`);
  assert.deepEqual(
    [...overlayRoutes(routes)],
    [
      ['172.31.0.0/24', '172.31.0.2'],
      ['172.31.9.9/32', '172.31.0.2'],
    ],
  );
});

test('neighbours and FDB entries; an entry to the default port is listed without it', () => {
  assert.deepEqual(
    [
      ...parseNeighbours(
        '[{"dst":"172.31.0.2","lladdr":"02:11:22:33:44:55","state":["PERMANENT"]},{"dst":"1.1.1.1","lladdr":"02:00:00:00:00:01","state":["STALE"]}]',
      ),
    ],
    [['172.31.0.2', '02:11:22:33:44:55']],
  );
  const fdb = parseFdb(
    '[{"mac":"00:00:00:00:00:00","dst":"10.0.0.1","state":"permanent"},{"mac":"02:11:22:33:44:55","dst":"10.0.0.1","port":4790,"state":"permanent"}]',
    4789,
  );
  assert.deepEqual([...fdb.flood], ['10.0.0.1:4789']);
  assert.deepEqual([...fdb.unicast], [['02:11:22:33:44:55', '10.0.0.1:4790']]);
  assert.deepEqual(parseRoutes('').routes, []);
  assert.throws(() => parseRoutes('{}'));
});

test('nft tables: marks in order, elements in canonical form', () => {
  const state =
    parseNft(`{"nftables":[{"metainfo":{"version":"1.0.6"}},{"table":{"family":"netdev","name":"docker_router","handle":1}},
    {"map":{"family":"netdev","name":"nexthops_24","table":"docker_router","type":"ipv4_addr","handle":4,"map":"ipv4_addr","elem":[["172.31.0.0","172.31.0.2"],["10.1.1.0","10.1.1.2"]]}},
    {"set":{"name":"sources_24","table":"docker_router","elem":[{"concat":["02:11:22:33:44:55","172.31.0.0"]},{"concat":["02:11:22:33:44:55",{"prefix":{"addr":"10.1.0.0","len":16}}]}]}},
    {"chain":{"name":"to_overlay","handle":2}},{"rule":{"chain":"to_overlay","handle":8,"comment":"aa","expr":[]}},{"rule":{"chain":"to_overlay","handle":9,"expr":[]}}]}`);
  assert.deepEqual([...state.chains], [['to_overlay', ['aa', '']]]);
  assert.deepEqual([...state.elements.get('nexthops_24')!], ['172.31.0.0 : 172.31.0.2', '10.1.1.0 : 10.1.1.2']);
  assert.deepEqual(
    [...state.elements.get('sources_24')!],
    ['02:11:22:33:44:55 . 172.31.0.0', '02:11:22:33:44:55 . {"prefix":{"addr":"10.1.0.0","len":16}}'],
  );
});

test('a message survives the wire; a foreign, old, oversized or broken one is refused with words', () => {
  const announce = { docker_router: 1, type: 'announce', interval_ms: 30_000, record: record(2) } as const;
  assert.deepEqual(decodeMessage(encodeMessage(announce)), { ok: true, value: announce });
  for (const bytes of [
    '',
    '{',
    'null',
    '[]',
    '{"docker_router":2,"type":"query"}',
    '{"type":"announce"}',
    `"${'x'.repeat(5000)}"`,
  ]) {
    const decoded = decodeMessage(Buffer.from(bytes));
    assert.ok(!decoded.ok && decoded.error.length < 400, bytes.slice(0, 20));
  }
});

test('no bytes and no JSON whatever make a parser throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => void decodeMessage(Buffer.from(bytes))));
  fc.assert(fc.property(fc.json(), (json) => void [decodeMessage(Buffer.from(json)), parseDiscovery(json)]));
  const keys = fc.constantFrom(...Object.keys(record(1)), '__proto__', 'constructor');
  fc.assert(fc.property(fc.dictionary(keys, fc.jsonValue()), (value) => void parseRecord(value)));
});

test('a record with one field replaced by anything is either refused or still well-formed', () => {
  const key = fc.constantFrom(...Object.keys(record(1)));
  fc.assert(
    fc.property(key, fc.jsonValue(), (name, value) => {
      const parsed = parseRecord({ ...record(1), [name]: value });
      if (parsed.ok) assert.ok(parseRecord(parsed.value).ok);
    }),
    { numRuns: 500 },
  );
});

test('one bad peer in discovery.json does not hide the good ones', () => {
  const self = { ...record(1), last_seen: '2024-01-15T10:30:00Z', status: 'active', source: 'multicast' };
  const good = { ...record(2), last_seen: '2024-01-15T10:30:00Z', status: 'active', source: 'multicast' };
  const file = { version: 1, last_update: '2024-01-15T10:30:00Z', self, peers: [{ nonsense: true }, good, 'x'] };
  const parsed = parseDiscovery(JSON.stringify(file));
  assert.ok(parsed.ok);
  assert.deepEqual(
    parsed.value.peers.map((p) => p.stack_id),
    ['stack-2'],
  );
  assert.equal(parsed.value.dropped.length, 2);
  assert.ok(!parseDiscovery(JSON.stringify({ ...file, version: 2 })).ok);
});
