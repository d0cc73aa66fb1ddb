/** Disputes where identities are known: who held it first keeps it, whatever age is stated. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stoodIn } from '../../src/discovery/report.ts';
import { overlaps, PRIVATE_PREFIXES, parsePrefix } from '../../src/net/ipv4.ts';
import { judge } from '../../src/peers/judge.ts';
import { Possession } from '../../src/peers/possession.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { record } from '../support/records.ts';

/** One discovery: judges and remembers. Returns the verdicts. */
function receiver() {
  const possession = new Possession();
  const policy = {
    allowedSubnets: PRIVATE_PREFIXES,
    hostNetworks: [],
    held: (claims: Parameters<Possession['among']>[0]) => possession.among(claims),
  };
  return (...claims: StackRecord[]) => {
    const verdicts = judge(record(1), claims, policy);
    possession.note(claims.filter((_, index) => verdicts[index] === undefined));
    return verdicts.map((verdict) => verdict ?? 'accepted');
  };
}
const honest = record(2);
const liar = record(3, { since: 1 });

test('a subnet and a MAC stay with the first who held them; what nobody held goes to the senior', () => {
  const hears = receiver();
  assert.deepEqual(hears(honest, liar), ['accepted', 'accepted']);
  const grabs = { ...liar, subnets: honest.subnets, gateway_ip: '10.100.2.9' };
  assert.match(hears(honest, grabs)[1]!, /overlaps 10\.100\.2\.0\/24 of stack stack-2/);
  assert.match(hears(grabs, { ...honest, subnets: [...honest.subnets, '10.101.2.0/24'] })[0]!, /stack-2/);
  assert.match(hears(honest, { ...liar, vtep_mac: honest.vtep_mac! })[1]!, /VTEP MAC/);
  const late = record(4, { subnets: ['10.102.0.0/24'], gateway_ip: '10.102.0.2' });
  const early = record(5, { subnets: ['10.102.0.0/25'], gateway_ip: '10.102.0.3', since: 7 });
  assert.deepEqual(
    hears(late, early).map((verdict) => verdict === 'accepted'),
    [false, true],
  );
});

test('the owner that comes back gets its own again; one that cannot be accepted holds nothing up', () => {
  const hears = receiver();
  const grabs = { ...liar, subnets: honest.subnets, gateway_ip: '10.100.2.9' };
  hears(honest, liar);
  assert.deepEqual(hears(grabs), ['accepted'], 'the owner is not there');
  assert.equal(hears(grabs, honest)[1], 'accepted');
  assert.equal(hears(grabs, { ...honest, vni: 7 })[0], 'accepted', 'it has moved to another network');
});

test('what was there for the host before is only what the same stack announced', () => {
  const stood = stoodIn({ peers: [{ ...honest, status: 'active' }] });
  assert.ok(stood(honest, honest.subnets[0]!));
  assert.ok(
    !stood({ ...liar, instance: honest.instance }, honest.subnets[0]!),
    'an instance is a number that anyone can take',
  );
});

test('whatever is claimed, and in whatever order, accepted ones are disjoint, and who held stays', () => {
  const claim = fc
    .tuple(fc.integer({ min: 2, max: 12 }), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 22, max: 26 }), fc.nat(9))
    .map(([n, block, length, since]) =>
      record(n, {
        since,
        subnets: [`10.0.${block * 4}.0/${length}`],
        gateway_ip: `10.0.${block * 4}.2`,
        host_ip: `192.168.9.${n}`,
      }),
    );
  const rounds = fc.array(fc.uniqueArray(claim, { selector: ({ stack_id }) => stack_id, maxLength: 11 }), {
    maxLength: 6,
  });
  fc.assert(
    fc.property(rounds, (all) => {
      const hears = receiver();
      const everHeld = new Set<string>();
      let last = new Map<string, string>();
      for (const claims of all) {
        const verdicts = hears(...claims);
        const accepted = claims.filter((_, index) => verdicts[index] === 'accepted');
        const prefixes = accepted.map(({ subnets }) => parsePrefix(subnets[0]!)!);
        assert.ok(prefixes.every((a, i) => prefixes.every((b, j) => i === j || !overlaps(a, b))));
        // Nobody who keeps what it just held loses it to one that has never held it: only to an earlier owner.
        for (const [index, { stack_id, subnets }] of claims.entries())
          if (last.get(stack_id) === subnets[0]) {
            const heldBefore = claims.some(
              (other) => other.stack_id !== stack_id && everHeld.has(`${other.stack_id} ${other.subnets[0]}`),
            );
            assert.ok(verdicts[index] === 'accepted' || heldBefore);
          }
        last = new Map(accepted.map(({ stack_id, subnets }) => [stack_id, subnets[0]!]));
        for (const { stack_id, subnets } of accepted) everHeld.add(`${stack_id} ${subnets[0]}`);
      }
    }),
  );
});
