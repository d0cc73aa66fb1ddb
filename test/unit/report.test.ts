import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextIdentity } from '../../src/discovery/identity.ts';
import { changes, material, type ReportInput, report } from '../../src/discovery/report.ts';
import { PRIVATE_PREFIXES } from '../../src/net/ipv4.ts';
import { startLog } from '../../src/process/log.ts';
import { parseWith } from '../../src/record/record.ts';
import { DiscoveryFileSchema } from '../../src/state/discovery-file.ts';
import { block } from '../support/readme.ts';
import { record } from '../support/records.ts';

const input = (changes: Partial<ReportInput> = {}): ReportInput => ({
  self: record(1),
  interfaceName: 'eth0',
  underlayMtu: 1500,
  hostAddresses: [],
  modes: ['multicast'],
  known: [{ record: record(2), source: 'multicast', seenAt: 4000, stale: false }],
  sources: { multicast: { state: 'ok', since: '2024-01-15T10:30:00Z' } },
  policy: { allowedSubnets: PRIVATE_PREFIXES, hostNetworks: [] },
  filter: { allow: [], deny: [] },
  refused: [],
  dropped: {},
  wallMs: Date.UTC(2024, 0, 15, 10, 30, 5),
  monotonicMs: 9000,
  ...changes,
});

test('the published fields stand in discovery.json as DESIGN section 3 names them', () => {
  const file = report(input());
  assert.ok(parseWith(DiscoveryFileSchema, file).ok);
  const { stack_id, host_ip, vxlan_endpoint, vni, last_seen, status, source } = file.peers[0]!;
  assert.deepEqual(
    { stack_id, host_ip, vxlan_endpoint, vni, last_seen, status, source },
    {
      stack_id: 'stack-2',
      host_ip: '192.168.0.2',
      vxlan_endpoint: '192.168.0.2:4789',
      vni: 1000,
      last_seen: '2024-01-15T10:30:00Z',
      status: 'active',
      source: 'multicast',
    },
  );
  assert.equal(file.version, 1);
  assert.equal(file.last_update, '2024-01-15T10:30:05Z');
});

test("a stack of this host is marked: by this host's address, or by another one of it", () => {
  const at = (host_ip: string) => ({ record: record(3, { host_ip }), source: 'multicast', seenAt: 4000, stale: false });
  const marked = (host_ip: string) =>
    report(input({ known: [at(host_ip)], hostAddresses: ['192.168.0.77'] })).peers[0]!.this_host;
  assert.deepEqual([record(1).host_ip, '192.168.0.77', '192.168.0.2'].map(marked), [true, true, undefined]);
});

test('a rejected peer carries its reason, and so does a rejected self', () => {
  const twin = { ...record(2), since: 1, subnets: record(1).subnets, gateway_ip: record(1).gateway_ip };
  const file = report(input({ known: [{ record: twin, source: 'multicast', seenAt: 9000, stale: false }] }));
  assert.equal(file.peers[0]!.status, 'rejected');
  assert.match(file.peers[0]!.reason!, /overlaps/);
  assert.equal(file.self.status, 'rejected');
});

test('times alone do not make a file different', () => {
  assert.equal(material(report(input())), material(report(input({ wallMs: 0, monotonicMs: 9500 }))));
  assert.notEqual(material(report(input())), material(report(input({ known: [] }))));
});

test('the log tells joining, change, silence, return, rejection and leaving, each once', () => {
  const at = (known: ReportInput['known']) => report(input({ known }));
  const peer = { record: record(2), source: 'multicast', seenAt: 9000, stale: false };
  const steps = [
    at([]),
    at([peer]),
    at([{ ...peer, record: record(2, { vxlan_port: 4791 }) }]),
    at([{ ...peer, record: record(2, { vxlan_port: 4791 }), stale: true }]),
    at([{ ...peer, record: record(2, { vxlan_port: 4791 }) }]),
    at([{ ...peer, record: record(2, { vni: 7 }) }]),
    at([{ ...peer, record: record(2, { vni: 7 }) }]),
    at([peer]),
    at([]),
  ];
  const lines = steps.flatMap((step, i) => (i === 0 ? [] : changes(steps[i - 1], step).map(({ text }) => text)));
  assert.deepEqual(
    lines.map((line) => line.replace(/ at .*| since .*|: is on .*/, '')),
    [
      'peer stack-2',
      'peer stack-2',
      'peer stack-2 is silent',
      'peer stack-2 is back',
      'peer stack-2 on 192.168.0.2 rejected',
      'peer stack-2',
      'peer stack-2 left',
    ],
  );
});

test('identity survives a restart, a renamed stack is another one, and a clock gone back does not make us older', () => {
  const file = JSON.stringify({ self: { stack_id: 'a', instance: '0123456789abcdef', since: 1000, boot: 5000 } });
  assert.deepEqual(nextIdentity(file, 'a', 9000), { instance: '0123456789abcdef', since: 1000, boot: 9000 });
  assert.deepEqual(nextIdentity(file, 'a', 2000), { instance: '0123456789abcdef', since: 1000, boot: 5001 });
  assert.notEqual(nextIdentity(file, 'b', 9000).instance, '0123456789abcdef');
  for (const broken of [undefined, '', '{', '{"self":{}}', 'null'])
    assert.equal(nextIdentity(broken, 'a', 9000).since, 9000);
});

test('the line that docs/metrics.md shows is what the log writes of a silent peer', (t) => {
  const shown = block('docs/metrics.md', 'log');
  const { time, name, message } = JSON.parse(shown);
  const known = { record: { ...record(2), stack_id: 'stack-b' }, source: 'multicast', seenAt: -41_000 } as const;
  const [before, after] = [false, true].map((stale) => report(input({ known: [{ ...known, stale }] })));
  const [change] = changes(before, after!);
  assert.equal(change?.text, message);
  const written: unknown[] = [];
  t.mock.timers.enable({ apis: ['Date'], now: Date.parse(time) });
  t.mock.method(process.stderr, 'write', (chunk: unknown) => written.push(chunk) > 0);
  startLog(name, { logLevel: 'info', logFormat: 'json' })[change!.level](message);
  t.mock.restoreAll();
  assert.deepEqual(written, [shown]);
});
