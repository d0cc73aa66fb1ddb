/** Any record that the schema allows, for property tests of codecs. */
import fc from 'fast-check';
import { formatPrefix, prefixOf } from '../../src/net/ipv4.ts';
import { vtepMac } from '../../src/net/mac.ts';
import { MAX_SUBNETS, type StackRecord } from '../../src/record/record.ts';

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((octets) => octets.join('.'));
const prefix = fc
  .tuple(fc.nat(0xffffffff), fc.integer({ min: 0, max: 32 }))
  .map(([a, length]) => formatPrefix(prefixOf(a, length)));
const epoch = fc.nat(7_258_118_400_000);
const stackId = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
const mac = hex(10).map((text) => `02:${text.match(/../g)!.join(':')}`);
/** valibot leaves these names out of every object, whatever the schema says. */
const keyName = fc
  .stringMatching(/^[a-z0-9_]{1,32}$/)
  .filter((name) => !['__proto__', 'prototype', 'constructor'].includes(name));
const keys = fc.dictionary(keyName, fc.stringMatching(/^[A-Za-z0-9+/=_-]{1,128}$/), {
  minKeys: 1,
  maxKeys: 8,
  noNullPrototype: true,
});

export const anyRecord: fc.Arbitrary<StackRecord> = stackId.chain((stack_id) =>
  fc.record(
    {
      stack_id: fc.constant(stack_id),
      vni: fc.integer({ min: 1, max: 0xffffff }),
      host_ip: address,
      subnets: fc.array(prefix, { maxLength: MAX_SUBNETS }),
      gateway_ip: address,
      vtep_mac: fc.oneof(mac, fc.constant(vtepMac(stack_id))),
      vxlan_port: fc.integer({ min: 1, max: 65535 }),
      public_keys: keys,
      wg_public_key: fc
        .uint8Array({ minLength: 32, maxLength: 32 })
        .map((bytes) => Buffer.from(bytes).toString('base64')),
      wg_port: fc.integer({ min: 1, max: 65535 }),
      wg_slot: fc.constant(1 as const),
      wg_other_public_key: fc
        .uint8Array({ minLength: 32, maxLength: 32 })
        .map((bytes) => Buffer.from(bytes).toString('base64')),
      wg_other_port: fc.integer({ min: 1, max: 65535 }),
      instance: hex(16),
      since: epoch,
      boot: epoch,
      seq: fc.nat(Number.MAX_SAFE_INTEGER),
    },
    {
      requiredKeys: ['stack_id', 'vni', 'host_ip', 'subnets', 'instance', 'since', 'boot', 'seq'],
      noNullPrototype: true,
    },
  ),
);
