import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { vtepMac } from '../../src/net/mac.ts';
import { claim, mismatch } from '../../src/sources/dns/claim.ts';
import {
  type Entry,
  type Lease,
  parseEntry,
  parseText,
  preferred,
  resourcesOf,
  stackIdOf,
  textOf,
} from '../../src/sources/dns/entry.ts';
import { anyRecord } from '../support/any-record.ts';
import { record } from '../support/records.ts';

const DOMAIN = 'docker.example';
const LEASE: Lease = { seconds: 90, until: 1_700_000_090, renewals: 7 };
const SRV = { priority: 0, weight: 0, port: 4789, target: 'h.docker.example' };
const strings = (...texts: string[]) => texts.map((text) => Buffer.from(text));

const anyLease: fc.Arbitrary<Lease> = fc.record(
  { seconds: fc.integer({ min: 1, max: 86_400 }), until: fc.nat(4e9), renewals: fc.nat(1e9) },
  { noNullPrototype: true },
);

test('every record and lease comes back from the zone as it was', () => {
  fc.assert(
    fc.property(anyRecord, anyLease, (any, lease) => {
      const text = textOf(any, lease);
      assert.ok(text.every(({ length }) => length <= 255));
      const { own } = resourcesOf(any, text, DOMAIN, 5);
      const [, srv, address] = own;
      const read = parseEntry(any.stack_id, { text, srv: srv.data, address: address.data });
      assert.deepEqual(read, { ok: true, value: { record: any, lease, instanceKnown: true } });
    }),
  );
});

test('a stack is listed as DNS-SD does it', () => {
  const { ptr, own } = resourcesOf(record(1), textOf(record(1), LEASE), DOMAIN, 5);
  assert.deepEqual(
    [ptr.name, ptr.data],
    ['_docker-router._udp.docker.example', 'stack-1._docker-router._udp.docker.example'],
  );
  assert.deepEqual(
    own.map(({ type, name }) => `${type} ${name}`),
    [
      'TXT stack-1._docker-router._udp.docker.example',
      'SRV stack-1._docker-router._udp.docker.example',
      'A stack-1.docker-router.docker.example',
    ],
  );
  assert.equal(own[0].data[0]!.toString(), 'txtvers=1', 'RFC 6763 section 6.7: first');
  assert.equal(own[1].data.target, own[2].name);
  assert.deepEqual([own[1].data.port, own[2].data], [4789, '192.168.0.1']);
});

test('the least that an operator can write is a stack, the same for every reader and after every edit', () => {
  const text = strings('vni=1000', 'net=172.31.0.0/24', 'gw=172.31.0.2');
  const read = parseEntry('stack-b', { text, srv: SRV, address: '10.0.1.5' });
  assert.ok(read.ok);
  assert.deepEqual(
    { ...read.value.record, instance: '' },
    {
      stack_id: 'stack-b',
      vni: 1000,
      host_ip: '10.0.1.5',
      subnets: ['172.31.0.0/24'],
      gateway_ip: '172.31.0.2',
      vtep_mac: vtepMac('stack-b'),
      vxlan_port: 4789,
      instance: '',
      since: 0,
      boot: 0,
      seq: 0,
    },
  );
  assert.deepEqual([read.value.lease, read.value.instanceKnown], [undefined, false]);
  const moved = parseEntry('stack-b', { text: strings('vni=2'), srv: { ...SRV, port: 0 }, address: '10.0.1.6' });
  assert.ok(moved.ok && moved.value.record.instance === read.value.record.instance);
  assert.equal(moved.value.record.vxlan_port, undefined, 'port 0: no router yet');
  assert.equal(moved.value.record.vtep_mac, undefined, 'nothing to be reached there');
});

test('TXT strings are read as RFC 6763 section 6.4 says', () => {
  const read = parseText(strings('VNI=1', 'vni=2', '=ignored', '', 'flag', 'a=b=c'));
  assert.deepEqual(read, { ok: true, value: { vni: '1', flag: '', a: 'b=c' } });
});

test('what is not ours or malformed says why', () => {
  const read = (...texts: string[]) => {
    const parsed = parseEntry('x', { text: strings(...texts), srv: SRV, address: '10.0.0.1' });
    return parsed.ok ? 'ok' : parsed.error;
  };
  assert.match(read('path=/'), /no vni=/);
  assert.match(read('txtvers=2', 'vni=1'), /txtvers/);
  assert.match(read('vni=0'), /vni/);
  assert.match(read('vni=1', 'lease=90', 'until=soon', 'n=1'), /lease/);
  assert.match(read('vni=1', 'lease=90', 'until=1', 'n=1'), /instance/, "a lease without an instance is nobody's");
  assert.match(read('vni=1', ...Array.from({ length: 30 }, (_, i) => `${i}=${'x'.repeat(200)}`)), /larger/);
});

test('no text whatever makes the reader throw', () => {
  const key = fc.constantFrom(
    'vni',
    'net',
    'gw',
    'mac',
    'inst',
    'since',
    'boot',
    'seq',
    'lease',
    'until',
    'n',
    'txtvers',
    '',
    '__proto__',
  );
  const pair = fc.oneof(
    fc.tuple(key, fc.string()).map(([k, value]) => Buffer.from(`${k}=${value}`)),
    fc.uint8Array({ maxLength: 255 }).map((bytes) => Buffer.from(bytes)),
  );
  fc.assert(
    fc.property(fc.array(pair), fc.string(), (text, address) => void parseEntry('x', { text, srv: SRV, address })),
  );
});

test('only a stack id right below the service is a stack', () => {
  const service = `_docker-router._udp.${DOMAIN}`;
  assert.equal(stackIdOf(`stack-a.${service}`, DOMAIN), 'stack-a');
  for (const name of [
    service,
    `a.b.${service}`,
    `some printer.${service}`,
    `-a.${service}`,
    `a._docker-router._udp.other.example`,
    'a',
    '',
  ])
    assert.equal(stackIdOf(name, DOMAIN), undefined, name);
});

test('of several SRV records the first by priority, weight and name counts, whatever their order', () => {
  const all = [SRV, { ...SRV, priority: 1 }, { ...SRV, weight: 5, target: 'z' }, { ...SRV, weight: 5, target: 'b' }];
  fc.assert(
    fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (some) =>
      assert.equal(preferred(some)?.target, 'b'),
    ),
  );
  assert.equal(preferred([]), undefined);
});

const self = record(1, { boot: 2000 });
const holding = (changes: Parameters<typeof record>[1], lease: Lease | undefined = LEASE): Entry => ({
  record: record(1, changes),
  lease,
  instanceKnown: true,
});
const other = { instance: 'f'.repeat(16), host_ip: '10.9.9.9', boot: 1000 };
const before = LEASE.until - 10;

test("a name in use is taken only from this stack's past, a predecessor or the dead", () => {
  const is = (entry: Entry, now = before, unchangedMs = 0) => claim(self, { entry, unchangedMs }, now).is;
  assert.equal(is(holding({ boot: 1000 })), 'ours', 'our own earlier process');
  assert.equal(is(holding(other)), 'held');
  assert.equal(is(holding(other), LEASE.until + 1), 'ours', 'its lease is over');
  assert.equal(
    is(holding(other), before, 90_001),
    'ours',
    'unchanged for the length of its lease, whatever the clocks say',
  );
  assert.equal(
    is(holding({ ...other, host_ip: self.host_ip }), before),
    'ours',
    'same host, port and gateway: the successor',
  );
  assert.equal(
    is(holding({ ...other, host_ip: self.host_ip, boot: 3000 }), before),
    'held',
    'a successor started later',
  );
  assert.equal(
    is(holding({ ...other, host_ip: self.host_ip, vxlan_port: 4791 }), before),
    'held',
    'a neighbour on this host',
  );
  assert.equal(is(holding({ host_ip: '10.9.9.9', boot: 3000 })), 'held', 'a copy of our volume that started later');
  assert.equal(is({ ...holding({}), lease: undefined }), 'static');
  assert.equal(is({ ...holding({}), lease: undefined }, LEASE.until + 1e6, 1e9), 'static', 'never overwritten');
});

test('who holds the name is said', () => {
  const held = claim(self, { entry: holding(other), unchangedMs: 0 }, before);
  assert.ok(held.is === 'held');
  for (const part of ['stack-1', '10.9.9.9', 'STACK_ID']) assert.ok(held.message.includes(part), held.message);
});

test('what an operator wrote wrongly of this stack is named; nothing before there is a router', () => {
  assert.equal(mismatch(self, { ...self, instance: '0'.repeat(16), since: 0, boot: 0 }), undefined);
  assert.match(
    mismatch(self, { ...self, host_ip: '10.9.9.9', subnets: [] })!,
    /host address 10\.9\.9\.9 instead of 192\.168\.0\.1, subnets/,
  );
  assert.equal(mismatch({ ...self, subnets: [] }, { ...self, host_ip: '10.9.9.9' }), undefined);
});
