/** Parsers that face a file, the kernel's tools or the environment. */
import assert from 'node:assert/strict';
import { readDiscoveryConfig } from '../../src/config/discovery-config.ts';
import { readRouterConfig } from '../../src/config/router-config.ts';
import { ConfigError } from '../../src/config/variables.ts';
import { desiredOverlay } from '../../src/desired/overlay.ts';
import { desiredTables } from '../../src/desired/ruleset.ts';
import { nextIdentity } from '../../src/discovery/identity.ts';
import { overlayRoutes, parseFdb, parseLinks, parseNeighbours, parseRoutes } from '../../src/kernel/parse-ip.ts';
import { parseNft } from '../../src/kernel/parse-nft.ts';
import { contains, overlaps, parseIpv4, parsePrefix } from '../../src/net/ipv4.ts';
import { makePlan } from '../../src/plan/plan.ts';
import { parseJson } from '../../src/record/record.ts';
import { acceptPeers, parseDiscovery } from '../../src/router/discovery-input.ts';
import { parseMemory } from '../../src/sources/gossip/memory-file.ts';
import { MAX_ROUTER_BYTES, RouterFileSchema } from '../../src/state/router-file.ts';
import { freshRouter } from '../support/kernels.ts';
import { record } from '../support/records.ts';
import { json } from './mutate.ts';
import { checkLine, checkScript, checkWords, jsonText, type Target } from './target.ts';

const entry = (n: number, changes = {}) => ({
  ...record(n),
  vxlan_endpoint: '192.168.0.2:4789',
  last_seen: '2024-01-15T10:30:00Z',
  status: 'active',
  source: 'multicast',
  ...changes,
});
const file = (...peers: object[]) => ({
  version: 1,
  last_update: '2024-01-15T10:30:00Z',
  self: entry(1, {
    stack_id: 'stack-a',
    interface: 'eth0',
    underlay_mtu: 1500,
    subnets: ['172.30.0.0/24'],
    gateway_ip: '172.30.0.2',
  }),
  sources: { multicast: { state: 'ok', since: '2024-01-15T10:30:00Z' } },
  peers,
});

const OWN = '172.30.0.0/24';
const ALLOWED = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];

/** From discovery.json to the lines that the kernel gets: whoever wrote it, nothing of this may be anything else. */
function checkPlan(body: string): boolean {
  const parsed = parseDiscovery(body);
  if (!parsed.ok) {
    checkWords(parsed.error);
    return false;
  }
  const { peers, refused } = acceptPeers(parsed.value, [OWN], ALLOWED);
  for (const words of refused) checkWords(words);
  const overlay = desiredOverlay(peers);
  const subnets = [...overlay.tables.routes.keys()].map((subnet) => parsePrefix(subnet)!);
  for (const [index, subnet] of subnets.entries()) {
    assert.ok(!overlaps(subnet, parsePrefix(OWN)!), 'no route over the own subnet');
    assert.ok(
      ALLOWED.some((allowed) => contains(parsePrefix(allowed)!, subnet.base)),
      'only allowed subnets',
    );
    assert.ok(!subnets.slice(index + 1).some((other) => overlaps(subnet, other)), 'no two routes overlap');
  }
  assert.ok(
    [...overlay.tables.neighbours.keys()].every((gateway) => subnets.some((one) => contains(one, parseIpv4(gateway)!))),
  );
  const tables = desiredTables({
    stack: [{ name: 'eth0', prefix: parsePrefix(OWN)! }],
    ownAddresses: ['172.30.0.2'],
    overlayMtu: 1450,
    lengths: overlay.lengths,
    fast: true,
    masquerade: false,
  });
  const plan = makePlan({ overlay, tables, device: true, ownMtu: 1450 }, freshRouter());
  for (const line of [...plan.bridgeAdd, ...plan.ipAdd, ...plan.ipDelete, ...plan.bridgeDelete]) checkLine(line);
  for (const script of plan.nft) checkScript(script);
  return true;
}

const discoveryFile: Target = {
  name: 'discovery-file',
  notation: json,
  samples: [
    file(entry(2), entry(3), entry(4, { status: 'stale' })),
    file(entry(2, { status: 'rejected', reason: 'no' }), entry(2)),
    file(),
  ].map(jsonText),
  run: (bytes) => {
    const identity = nextIdentity(bytes.toString(), 'stack-a', 1_800_000_000_000);
    assert.match(identity.instance, /^[0-9a-f]{16}$/);
    assert.ok(Number.isSafeInteger(identity.since) && Number.isSafeInteger(identity.boot));
    return checkPlan(bytes.toString());
  },
};

const routerFile: Target = {
  name: 'router-file',
  notation: json,
  samples: [
    {
      version: 1,
      last_update: '2024-01-15T10:30:00Z',
      stack_id: 'stack-a',
      subnets: ['172.30.0.0/24'],
      gateway_ip: '172.30.0.2',
      vtep_mac: '02:aa:bb:cc:dd:ee',
      vxlan_port: 4789,
      mtu: 1450,
      underlay: 'host',
      problems: [{ code: 'kernel-refused', message: 'no' }],
    },
    { version: 1, last_update: '2024-01-15T10:30:00Z', subnets: [] },
  ].map(jsonText),
  run: (bytes) => {
    const parsed = parseJson(RouterFileSchema, bytes.toString(), MAX_ROUTER_BYTES);
    if (!parsed.ok) checkWords(parsed.error);
    else assert.ok(parsed.value.subnets.every((subnet) => parsePrefix(subnet)));
    return parsed.ok;
  },
};

const gossipMemory: Target = {
  name: 'gossip-memory',
  notation: json,
  samples: [
    jsonText({ stacks: { 'stack-b/00000000000000bb': { endpoint: '10.0.0.2:7946', seenAt: 1_700_000_000_000 } } }),
    jsonText({ version: 1, stacks: {} }),
  ],
  run: (bytes) => {
    const parsed = parseMemory(bytes.toString());
    if (!parsed.ok) checkWords(parsed.error);
    return parsed.ok;
  },
};

const LINKS = [
  {
    ifindex: 1,
    ifname: 'lo',
    flags: ['LOOPBACK', 'UP'],
    mtu: 65536,
    address: '00:00:00:00:00:00',
    addr_info: [{ family: 'inet', local: '127.0.0.1', prefixlen: 8, label: 'lo' }],
  },
  {
    ifindex: 2,
    ifname: 'eth0',
    flags: ['BROADCAST', 'UP'],
    mtu: 1500,
    address: '02:42:ac:1e:00:03',
    link_netnsid: 0,
    linkinfo: { info_kind: 'veth' },
    addr_info: [
      { family: 'inet', local: '172.30.0.3', prefixlen: 24, label: 'eth0' },
      { family: 'inet', local: '172.30.0.2', prefixlen: 32, label: 'eth0:gw' },
    ],
  },
  {
    ifindex: 3,
    ifname: 'vxlan0',
    flags: ['BROADCAST', 'UP'],
    mtu: 1450,
    address: '02:aa:bb:cc:dd:ee',
    link_netnsid: 1,
    linkinfo: { info_kind: 'vxlan', info_data: { id: 1000, local: '10.77.0.1', port: 4789, learning: false } },
    addr_info: [],
  },
];
const ROUTES = [
  { dst: 'default', gateway: '172.30.0.1', dev: 'eth0', protocol: '157', flags: [] },
  { dst: '10.100.2.0/24', gateway: '10.100.2.2', dev: 'vxlan0', protocol: '157', metric: 25600, flags: ['onlink'] },
  { dst: '10.1.1.1', dev: 'eth0', flags: [] },
];
const NEIGHBOURS = [
  { dst: '10.100.2.2', lladdr: '02:aa:00:00:00:01', state: ['PERMANENT'] },
  { dst: '172.30.0.9', lladdr: '02:aa:00:00:00:02', state: ['STALE'] },
];
const FDB = [
  { mac: '00:00:00:00:00:00', dst: '10.77.0.2', port: 4790, flags: ['self'], state: 'permanent' },
  { mac: '02:aa:00:00:00:01', dst: '10.77.0.2', flags: ['self'], state: 'permanent' },
  {},
];

/** What they say when it is not iproute2's JSON; anything else would be a defect. */
function readOr<T>(read: () => T, words: RegExp): T | undefined {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof SyntaxError || words.test((cause as Error).message)) return undefined;
    throw cause;
  }
}

const ipJson: Target = {
  name: 'ip-json',
  notation: json,
  samples: [LINKS, ROUTES, NEIGHBOURS, FDB].map(jsonText),
  run: (bytes) => {
    const body = bytes.toString();
    const none = /expected a JSON array/;
    const links = readOr(() => parseLinks(body), none);
    const routes = readOr(() => parseRoutes(body).routes, none);
    const neighbours = readOr(() => parseNeighbours(body), none);
    const fdb = readOr(() => parseFdb(body, 4789), none);
    if (!links || !routes || !neighbours || !fdb) return false;
    const observed = freshRouter({ ...links, routes, overlay: { routes: overlayRoutes(routes), neighbours, ...fdb } });
    // Whatever a listing says, the difference to what is wanted can be told.
    makePlan({ overlay: desiredOverlay([record(2)]), tables: [], device: true, ownMtu: 1450 }, observed);
    return links.links.length + routes.length + neighbours.size + fdb.unicast.size + fdb.flood.size > 0;
  },
};

const NFT = {
  nftables: [
    { metainfo: { version: '1.1.3', json_schema_version: 1 } },
    { table: { family: 'netdev', name: 'docker_router', handle: 1 } },
    {
      chain: {
        family: 'netdev',
        table: 'docker_router',
        name: 'from_overlay',
        handle: 2,
        type: 'filter',
        hook: 'ingress',
        prio: 0,
        policy: 'drop',
      },
    },
    {
      rule: {
        family: 'netdev',
        table: 'docker_router',
        chain: 'from_overlay',
        handle: 3,
        comment: 'abcdef012345',
        expr: [],
      },
    },
    {
      map: {
        family: 'netdev',
        name: 'nexthops_24',
        table: 'docker_router',
        type: 'ipv4_addr',
        map: 'ipv4_addr',
        elem: [['10.100.2.0', '10.100.2.2']],
      },
    },
    {
      set: {
        family: 'netdev',
        name: 'sources_24',
        table: 'docker_router',
        type: ['ether_addr', 'ipv4_addr'],
        elem: [{ concat: ['02:aa:00:00:00:01', '10.100.2.0'] }, '1'],
      },
    },
  ],
};

const nftJson: Target = {
  name: 'nft-json',
  notation: json,
  samples: [jsonText(NFT), jsonText({ nftables: [] })],
  run: (bytes) => {
    const state = readOr(() => parseNft(bytes.toString()), /Invalid (type|key)/);
    for (const elements of state?.elements.values() ?? [])
      for (const element of elements) assert.equal(typeof element, 'string');
    return state !== undefined;
  },
};

const ENVIRONMENTS = [
  {
    STACK_ID: 'stack-a',
    VNI: '1000',
    DISCOVERY_MODE: 'multicast,etcd,dns,gossip',
    HOST_IP: '10.0.1.5',
    ANNOUNCE_INTERVAL: '30s',
    PEER_TIMEOUT: '90',
    ALLOWED_SUBNETS: '10.0.0.0/8, 172.16.0.0/12',
    MULTICAST_TTL: '1',
  },
  {
    STACK_ID: 'b',
    VNI: '1',
    DISCOVERY_MODE: 'etcd',
    ETCD_ENDPOINTS: 'http://10.0.1.5:2379,https://[fd00::1]:2379',
    ETCD_PREFIX: '/a',
    ETCD_LEASE_TTL: '30s',
    ETCD_USERNAME: 'u',
    ETCD_PASSWORD: 'p',
  },
  {
    STACK_ID: 'b',
    VNI: '1',
    DISCOVERY_MODE: 'dns',
    DNS_DOMAIN: 'example.com',
    DNS_SERVERS: '10.0.0.53:5353',
    DNS_UPDATE_SERVER: '10.0.0.53',
    DNS_TSIG_NAME: 'k',
    DNS_TSIG_SECRET: 'c2VjcmV0',
    DNS_INTERVAL: '5s',
  },
  {
    STACK_ID: 'b',
    VNI: '1',
    DISCOVERY_MODE: 'gossip',
    GOSSIP_SEEDS: 'a.example:7946,10.0.0.1',
    GOSSIP_PORT: '7946',
    GOSSIP_ENCRYPT_KEY: 'cg8StVXbQJ0gPvMd9o7yrg==',
    GOSSIP_PROFILE: 'wan',
  },
  {
    UNDERLAY: 'auto',
    VXLAN_PORT: '4789',
    VXLAN_MTU: 'auto',
    GATEWAY: 'off',
    UPSTREAM_GATEWAY: '172.30.0.1',
    MASQUERADE: 'on',
    RESYNC_INTERVAL: '60s',
    LOG_LEVEL: 'debug',
    LOG_FORMAT: 'json',
  },
];

function environmentOf(bytes: Buffer): Record<string, string> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value !== 'object' || value === null) return undefined;
    // No file of this machine is read: what a path may be is the operator's own business.
    const pairs = Object.entries(value).filter(([name]) => !name.endsWith('_FILE'));
    return Object.fromEntries(
      pairs.map(([name, item]) => [name, typeof item === 'string' ? item : JSON.stringify(item)]),
    );
  } catch {
    return undefined;
  }
}

/** What both daemons say against these variables. */
function complaints(variables: NodeJS.ProcessEnv): { accepted: boolean; problems: string[] } {
  const problems: string[] = [];
  let accepted = false;
  for (const read of [readDiscoveryConfig, readRouterConfig]) {
    try {
      read(variables);
      accepted = true;
    } catch (cause) {
      if (!(cause instanceof ConfigError)) throw cause;
      problems.push(...cause.problems);
    }
  }
  return { accepted, problems };
}

/** Ends a password that no other value and no sentence has in it by chance. */
const UNLIKELY = '-Xk9q7';

const environment: Target = {
  name: 'environment',
  notation: json,
  samples: ENVIRONMENTS.map(jsonText),
  run: (bytes) => {
    const variables = environmentOf(bytes);
    if (!variables) return false;
    const { accepted, problems } = complaints(variables);
    for (const problem of problems) checkWords(problem);
    if (!variables.ETCD_PASSWORD) return accepted;
    const secret = `${variables.ETCD_PASSWORD}${UNLIKELY}`;
    for (const problem of complaints({ ...variables, ETCD_PASSWORD: secret }).problems)
      assert.ok(!problem.includes(UNLIKELY), 'a secret in the words of a problem');
    return accepted;
  },
};

export const localTargets: readonly Target[] = [discoveryFile, routerFile, gossipMemory, ipJson, nftJson, environment];
