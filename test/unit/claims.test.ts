/** What a compromised member may claim of addresses: nothing that is not its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkRoutes } from '../../src/discovery/link-routes.ts';
import { formatPrefix, PRIVATE_PREFIXES, parsePrefix } from '../../src/net/ipv4.ts';
import { judge, type Policy } from '../../src/peers/judge.ts';
import { parseRecord, type StackRecord } from '../../src/record/record.ts';
import { decodeMessage, encodeMessage } from '../../src/sources/multicast/message.ts';
import { record } from '../support/records.ts';
import { gate } from '../support/trust.ts';

const network = (name: string, text: string) => ({ name, prefix: parsePrefix(text)!, isStack: name.startsWith('br-') });
const policy: Policy = {
  allowedSubnets: PRIVATE_PREFIXES,
  hostNetworks: [
    network('eth0', '192.168.0.0/24'),
    network('docker0', '172.17.0.0/16'),
    network('eth1', '192.168.9.0/24'),
    network('br-own', '10.101.0.0/24'),
  ],
};
const self = record(256, { stack_id: 'self', host_ip: '192.168.0.1' });
const honest = record(2);
const member = (changes: Partial<StackRecord>) => record(3, { since: 1_800_000_000_000, ...changes });
const verdict = (claim: StackRecord) => judge(self, [honest, claim], policy)[1];

test('the honest one and a member that claims its own are accepted', () => {
  assert.deepEqual(judge(self, [honest, member({})], policy), [undefined, undefined]);
});

const claims: readonly [string, Partial<StackRecord>, RegExp][] = [
  ['everything', { subnets: ['0.0.0.0/0'] }, /not one that a stack can have/],
  ['half of everything', { subnets: ['0.0.0.0/1', '128.0.0.0/1'] }, /not one that a stack can have/],
  ['the public internet', { subnets: ['8.8.8.0/24'] }, /not allowed here/],
  ["another member's subnet", { subnets: honest.subnets }, /overlaps .* of stack stack-2/],
  ["a part of another member's subnet", { subnets: ['10.100.2.128/25'] }, /overlaps .* of stack stack-2/],
  ["this stack's subnet", { subnets: self.subnets }, /overlaps/],
  ["the host's network", { subnets: ['192.168.0.0/24'] }, /overlaps|contains the host address/],
  ["a part of the host's network", { subnets: ['192.168.0.128/25'] }, /overlaps this host's network/],
  [
    "Docker's own network",
    { subnets: ['172.17.0.0/16'] },
    /overlaps this host's network 172\.17\.0\.0\/16 \(docker0\)/,
  ],
  [
    "Docker's own network, as if it were on this host",
    { host_ip: '192.168.0.1', subnets: ['172.17.0.0/16'] },
    /docker0/,
  ],
  [
    'another network of this host, as if it were on it',
    { host_ip: '192.168.0.1', subnets: ['192.168.9.0/24'] },
    /eth1/,
  ],
  ["another member's id", { stack_id: 'stack-2' }, /already used by stack stack-2/],
  ["another member's MAC", { vtep_mac: honest.vtep_mac! }, /already used by stack stack-2/],
];
for (const [what, changes, reason] of claims) {
  test(`a member that claims ${what} is rejected, and the honest one stays`, () => {
    const claim = member(changes);
    const [first] = claim.subnets;
    const withGateway = { ...claim, gateway_ip: first?.replace(/\.\d+\/\d+$/, '.130') ?? claim.gateway_ip! };
    assert.match(verdict(withGateway) ?? 'accepted', reason);
    assert.equal(judge(self, [honest, withGateway], policy)[0], undefined);
  });
}

test('a network that is down is seen by its route', () => {
  const text = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\tFE004D0A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
*\t0000640A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0
damaged line`;
  const routes = linkRoutes(text).map(({ name, prefix }) => `${name} ${formatPrefix(prefix)}`);
  assert.deepEqual(routes, ['eth0 10.77.0.0/24', 'docker0 172.17.0.0/16']);
});

test('10,000 subnets, or 17, are no record at all, in clear as in an envelope', () => {
  for (const count of [17, 10_000]) {
    const subnets = Array.from({ length: count }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
    const greedy = { ...member({}), subnets };
    assert.ok(!parseRecord(greedy).ok);
    const [a, m] = [gate('self'), gate('stack-3')];
    const message = { docker_router: 1, type: 'announce', interval_ms: 1000, record: greedy } as const;
    // Larger than an envelope can hold, its sender cannot even make it.
    const datagram = count === 17 ? encodeMessage(message, m) : encodeMessage(message);
    assert.ok(!decodeMessage(datagram, a).ok);
  }
});
