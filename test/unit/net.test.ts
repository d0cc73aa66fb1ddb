import assert from 'node:assert/strict';
import { isIPv4 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  contains,
  covers,
  firstHost,
  formatIpv4,
  formatPrefix,
  isHostAddress,
  overlaps,
  parseIpv4,
  parsePrefix,
  prefixOf,
} from '../../src/net/ipv4.ts';
import { gatewayMac, isUnicastMac, vtepMac } from '../../src/net/mac.ts';
import { PrefixIndex } from '../../src/net/prefix-index.ts';

const address = fc.integer({ min: 0, max: 0xffffffff });
const prefix = fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([a, length]) => prefixOf(a, length));

test('an address survives formatting and parsing', () => {
  fc.assert(fc.property(address, (a) => parseIpv4(formatIpv4(a)) === a));
});

test('a prefix survives formatting and parsing', () => {
  fc.assert(fc.property(prefix, (p) => assert.deepEqual(parsePrefix(formatPrefix(p)), p)));
});

test('an address is what Node takes for one', () => {
  const nearly = fc.array(fc.constantFrom('0', '1', '9', '25', '255', '256', '.', ' ', 'a'), { maxLength: 9 });
  fc.assert(
    fc.property(nearly, (parts) => assert.equal(parseIpv4(parts.join('')) !== undefined, isIPv4(parts.join('')))),
  );
});

test('what is not an address or a prefix is refused', () => {
  for (const text of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', ' 1.2.3.4', '::1', 'a.b.c.d'])
    assert.equal(parseIpv4(text), undefined, text);
  for (const text of ['172.30.0.5/24', '10.0.0.0/33', '10.0.0.0', '10.0.0.0/', '10.0.0.0/08', '0.0.0.0/-1'])
    assert.equal(parsePrefix(text), undefined, text);
});

test('overlap is symmetric, and is containment of one in the other', () => {
  fc.assert(
    fc.property(prefix, prefix, (a, b) => {
      assert.equal(overlaps(a, b), overlaps(b, a));
      assert.equal(overlaps(a, b), covers(a, b) || covers(b, a));
      assert.ok(contains(a, a.base));
    }),
  );
});

test('the first host of a network, and addresses no host can have', () => {
  assert.equal(formatIpv4(firstHost(parsePrefix('172.30.0.0/24')!)), '172.30.0.1');
  for (const text of ['0.0.0.0', '127.0.0.1', '169.254.1.1', '224.0.0.1', '255.255.255.255'])
    assert.ok(!isHostAddress(parseIpv4(text)!), text);
  for (const text of ['10.0.0.1', '8.8.8.8', '192.168.1.1']) assert.ok(isHostAddress(parseIpv4(text)!), text);
});

test('the prefix index finds exactly the overlaps that comparing with each finds', () => {
  const narrow = fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 22, max: 32 }))
    .map(([a, length]) => prefixOf(0x0a000000 + a * 7, length));
  fc.assert(
    fc.property(fc.array(narrow, { maxLength: 30 }), narrow, (candidates, probe) => {
      const index = new PrefixIndex<number>();
      const taken: (typeof probe)[] = [];
      for (const candidate of candidates) {
        if (taken.some((other) => overlaps(other, candidate))) continue;
        index.add(candidate, taken.length);
        taken.push(candidate);
      }
      const found = index.overlapping(probe);
      assert.equal(
        found !== undefined,
        taken.some((other) => overlaps(other, probe)),
      );
      if (found) assert.ok(overlaps(taken[found.owner]!, probe));
    }),
  );
});

test('MAC addresses are stable, unicast and locally administered', () => {
  assert.equal(vtepMac('stack-a'), vtepMac('stack-a'));
  assert.notEqual(vtepMac('stack-a'), vtepMac('stack-b'));
  assert.equal(gatewayMac(parseIpv4('172.30.0.2')!), '02:47:ac:1e:00:02');
  fc.assert(fc.property(fc.string(), (id) => isUnicastMac(vtepMac(id)) && vtepMac(id).startsWith('02:')));
  for (const text of [
    '00:00:00:00:00:00',
    '01:00:5e:00:00:01',
    'ff:ff:ff:ff:ff:ff',
    '02:AA:00:00:00:00',
    '02:00:00:00:00',
  ])
    assert.ok(!isUnicastMac(text), text);
});
