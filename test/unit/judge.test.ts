import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stoodIn } from '../../src/discovery/report.ts';
import { overlaps, PRIVATE_PREFIXES, parsePrefix } from '../../src/net/ipv4.ts';
import { judge, judgeSelf, type Policy } from '../../src/peers/judge.ts';
import { record } from '../support/records.ts';

const policy: Policy = { allowedSubnets: PRIVATE_PREFIXES, hostNetworks: [] };
const verdict = (changes: Parameters<typeof record>[1], self = record(1), extra: Policy = policy) =>
  judge(self, [record(2, changes)], extra)[0];

test('a good peer is accepted, also without a data plane yet', () => {
  assert.equal(verdict({}), undefined);
  const { gateway_ip: _g, vtep_mac: _m, vxlan_port: _p, ...bare } = record(2, { subnets: [] });
  assert.equal(judge(record(1), [bare], policy)[0], undefined);
});

test('what a peer may not claim, each with its reason', () => {
  const cases: [Parameters<typeof record>[1], RegExp][] = [
    [{ vni: 2000 }, /VNI 2000, this stack is on VNI 1000/],
    [{ stack_id: 'stack-1' }, /id stack-1 is already used by this stack.*STACK_ID/],
    [{ subnets: ['0.0.0.0/0'] }, /not one that a stack can have/],
    [{ subnets: ['8.8.8.0/24'], gateway_ip: '8.8.8.2' }, /not allowed here; ALLOWED_SUBNETS is/],
    [{ subnets: ['172.32.0.0/24'], gateway_ip: '172.32.0.2' }, /not allowed here/],
    [{ subnets: ['10.100.1.128/25'], gateway_ip: '10.100.1.130' }, /overlaps 10\.100\.1\.0\/24 of this stack/],
    [{ gateway_ip: '10.99.0.2' }, /lies in none of its subnets/],
    [{ vtep_mac: record(1).vtep_mac }, /VTEP MAC .* already used by this stack/],
    [{ host_ip: '127.0.0.1' }, /host address 127\.0\.0\.1/],
    [{ host_ip: '10.100.2.9' }, /contains the host address/],
    [{ subnets: ['10.100.2.0/24', '10.100.2.0/25'] }, /overlap each other/],
    [{ vxlan_port: undefined }, /without a VTEP MAC and a VXLAN port/],
  ];
  for (const [changes, expected] of cases) assert.match(verdict(changes) ?? 'accepted', expected);
});

test('a subnet of this host is refused, but not when the stack is on this very host', () => {
  const hostNetworks = [{ name: 'br-1', prefix: parsePrefix('10.100.2.0/24')! }];
  assert.match(
    verdict({}, record(1), { ...policy, hostNetworks }) ?? '',
    /overlaps this host's network 10\.100\.2\.0\/24 \(br-1\)/,
  );
  const neighbour = { host_ip: record(1).host_ip };
  assert.equal(verdict(neighbour, record(1), { ...policy, hostNetworks }), undefined);
  const wider = [{ name: 'eth1', prefix: parsePrefix('10.100.0.0/16')! }];
  assert.match(verdict(neighbour, record(1), { ...policy, hostNetworks: wider }) ?? '', /\(eth1\)/, 'not its bridge');
});

test('a network that the host gets later does not end a claim that stood; a new claim it does', () => {
  const hostNetworks = [{ name: 'br-1', prefix: parsePrefix('10.100.2.0/25')! }];
  const last = { peers: [{ ...record(2), status: 'active' as const }] };
  const sticky = { ...policy, hostNetworks, established: stoodIn(last) };
  assert.equal(verdict({}, record(1), sticky), undefined);
  const moved = { subnets: ['10.100.2.0/26'] };
  assert.match(verdict(moved, record(1), sticky) ?? '', /overlaps this host's network/);
  assert.match(verdict({ instance: '0123456789abcdef' }, record(1), sticky) ?? '', /overlaps this host's network/);
  const refused = stoodIn({ peers: last.peers.map((peer) => ({ ...peer, status: 'rejected' as const })) });
  assert.match(verdict({}, record(1), { ...sticky, established: refused }) ?? '', /overlaps this host's network/);
});

test('of two claims the senior keeps working, in whatever order they are heard', () => {
  const older = record(2, { since: 1000 });
  const younger = record(3, { since: 2000, subnets: older.subnets, gateway_ip: '10.100.2.9' });
  assert.deepEqual(
    judge(record(1), [older, younger], policy).map((v) => v === undefined),
    [true, false],
  );
  assert.deepEqual(
    judge(record(1), [younger, older], policy).map((v) => v === undefined),
    [false, true],
  );
  assert.match(
    judge(record(1), [younger, older], policy)[0]!,
    /overlaps 10\.100\.2\.0\/24 of stack stack-2 on 192\.168\.0\.2/,
  );
});

test('the junior of two stacks hears why the others reject it, the senior does not', () => {
  const senior = record(1, { since: 1000 });
  const junior = record(2, { since: 2000, subnets: senior.subnets, gateway_ip: senior.gateway_ip });
  assert.match(judgeSelf(junior, [senior], policy)!, /10\.100\.1\.0\/24 is already used by stack stack-1/);
  assert.equal(judgeSelf(senior, [junior], policy), undefined);
  assert.match(
    judgeSelf(record(2, { stack_id: 'stack-1', since: 2000 }), [senior], policy)!,
    /another stack with the id stack-1/,
  );
});

test('accepted peers are mutually disjoint, whatever is claimed', () => {
  const claim = fc
    .tuple(
      fc.integer({ min: 2, max: 40 }),
      fc.integer({ min: 0, max: 15 }),
      fc.integer({ min: 20, max: 26 }),
      fc.integer({ min: 0, max: 5 }),
    )
    .map(([n, block, length, since]) => {
      const base = `10.0.${block * 16}.0`;
      return record(n, {
        since,
        subnets: [`${base}/${length}`],
        gateway_ip: `10.0.${block * 16}.2`,
        host_ip: `192.168.9.${n}`,
      });
    });
  fc.assert(
    fc.property(fc.array(claim, { maxLength: 25 }), (claims) => {
      const accepted = claims.filter((_, i) => judge(record(1), claims, policy)[i] === undefined);
      const prefixes = accepted.flatMap(({ subnets }) => subnets.map((s) => parsePrefix(s)!));
      assert.ok(prefixes.every((a, i) => prefixes.every((b, j) => i === j || !overlaps(a, b))));
      assert.equal(new Set(accepted.map(({ stack_id }) => stack_id)).size, accepted.length);
    }),
  );
});
