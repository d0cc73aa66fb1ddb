import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { vtepMac } from '../../src/net/mac.ts';
import { type Flat, fromFlat, toFlat } from '../../src/record/flat.ts';
import { RecordSchema } from '../../src/record/record.ts';
import { anyRecord } from '../support/any-record.ts';
import { record } from '../support/records.ts';

const bytes = (flat: Flat) =>
  Object.entries(flat).reduce((sum, [key, value]) => sum + key.length + value.length + 2, 0);

test('every record comes back as it was', () => {
  fc.assert(fc.property(anyRecord, (any) => assert.deepEqual(fromFlat(toFlat(any)), { ok: true, value: any })));
});

test('every pair fits a TXT string of 255 bytes, and no key holds an equals sign', () => {
  fc.assert(
    fc.property(anyRecord, (any) => {
      for (const [key, value] of Object.entries(toFlat(any)))
        assert.ok(Buffer.byteLength(`${key}=${value}`) <= 255 && !key.includes('='), key);
    }),
  );
});

test('a typical record takes at most 250 bytes, and leaves room in 512 for a WireGuard key, an identity and a signature', () => {
  const typical = record(5, {
    stack_id: 'shop-frontend',
    host_ip: '192.168.100.100',
    subnets: ['172.30.0.0/24', '172.31.0.0/24'],
  });
  assert.ok(bytes(toFlat(typical)) <= 180, String(bytes(toFlat(typical))));
  const secured =
    bytes(toFlat({ ...typical, public_keys: { wireguard: 'k'.repeat(44), id: 'k'.repeat(43) } })) + 3 + 2 + 86;
  assert.ok(secured <= 400, String(secured));
});

test('the MAC that follows from the id is left out and put back; people may write one with colons', () => {
  assert.equal(toFlat(record(1)).mac, undefined);
  const { mac: _mac, ...flat } = toFlat(record(1, { vtep_mac: '02:00:00:00:00:01' }));
  const read = (text?: string) => {
    const parsed = fromFlat({ ...flat, ...(text !== undefined && { mac: text }) });
    return parsed.ok ? parsed.value.vtep_mac : parsed.error;
  };
  assert.equal(read(), vtepMac('stack-1'));
  assert.equal(read('02:00:00:00:00:07'), '02:00:00:00:00:07');
  assert.equal(read('020000000007'), '02:00:00:00:00:07');
  assert.equal(read(''), undefined);
});

test('unknown keys are ignored, whatever they hold', () => {
  const flat = toFlat(record(1));
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.string().map((key) => `x-${key}`),
        fc.string(),
      ),
      (more) => {
        assert.deepEqual(fromFlat({ ...more, ...flat }), { ok: true, value: record(1) });
      },
    ),
  );
});

test('what is missing or malformed is named', () => {
  const flat = toFlat(record(1));
  const bad: Flat[] = [
    { vni: '1e3' },
    { vni: '0x10' },
    { port: '70000' },
    { net: '10.0.0.1/24' },
    { boot: 'SOON' },
    { seq: '-1' },
    { inst: 'x' },
    { ip: '300.1.1.1' },
    { 'k.a': 'not base64!' },
  ];
  for (const change of bad) {
    const parsed = fromFlat({ ...flat, ...change });
    assert.ok(!parsed.ok && parsed.error.length > 0, JSON.stringify(change));
  }
  const { vni: _vni, ...without } = flat;
  const parsed = fromFlat(without);
  assert.ok(!parsed.ok && /vni/.test(parsed.error), JSON.stringify(parsed));
});

test('no text whatever makes the reader throw or give an invalid record', () => {
  const key = fc.constantFrom(
    'id',
    'ip',
    'vni',
    'port',
    'net',
    'net2',
    'gw',
    'mac',
    'inst',
    'since',
    'boot',
    'seq',
    'k.a',
    'k.__proto__',
  );
  fc.assert(
    fc.property(
      fc.dictionary(key, fc.oneof(fc.string(), fc.constantFrom(...Object.values(toFlat(record(1)))))),
      (flat) => {
        const parsed = fromFlat(flat);
        if (parsed.ok)
          assert.deepEqual(
            Object.keys(parsed.value).filter((name) => !(name in RecordSchema.entries)),
            [],
          );
      },
    ),
  );
});
