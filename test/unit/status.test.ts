import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseReceived, receivedFrom } from '../../src/kernel/received.ts';
import { decodeProbe, encodeProbe, PROBE_BYTES } from '../../src/probe/message.ts';
import { probeInterval, summary, UNPROBED, withResult } from '../../src/probe/reach.ts';
import type { PeerEntry, SelfEntry } from '../../src/state/discovery-file.ts';
import type { RouterFile } from '../../src/state/router-file.ts';
import type { PeerStatus } from '../../src/state/status-file.ts';
import { udpPorts } from '../../src/status/ports.ts';
import { statusText } from '../../src/status/table.ts';
import { statusView } from '../../src/status/view.ts';
import { formatAge, formatBytes } from '../../src/text/units.ts';
import { record } from '../support/records.ts';

const NOW = Date.UTC(2024, 0, 15, 10, 30, 5);
const entry = (n: number, changes: Partial<PeerEntry> = {}): PeerEntry => {
  const { seq: _seq, boot: _boot, ...fields } = record(n);
  const endpoint = { vxlan_endpoint: `${fields.host_ip}:4789` };
  return {
    ...fields,
    ...endpoint,
    last_seen: '2024-01-15T10:30:00Z',
    status: 'active',
    source: 'multicast',
    ...changes,
  };
};
const self: SelfEntry = { ...entry(1), boot: 1, interface: 'eth0' };
const router: RouterFile = {
  version: 1,
  last_update: '2024-01-15T10:30:00Z',
  subnets: self.subnets,
  gateway_ip: '10.100.1.2',
  vxlan_port: 4789,
  mtu: 1450,
  underlay: 'host',
};
const view = (peers: PeerEntry[], measured: PeerStatus[], plane = router) =>
  statusView({
    self,
    peers,
    sources: { multicast: { state: 'ok' } },
    router: plane,
    measured: { version: 1, last_update: '2024-01-15T10:30:00Z', peers: measured },
  });

test('a probe comes back as it was sent; no other bytes are one', () => {
  const message = { kind: 'question', nonce: '0123456789abcdef', wallMs: NOW } as const;
  const bytes = encodeProbe(message);
  assert.equal(bytes.length, PROBE_BYTES);
  assert.deepEqual(decodeProbe(bytes), message);
  assert.deepEqual(decodeProbe(encodeProbe(message, 1422)), message);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (noise) => {
      const decoded = decodeProbe(Buffer.from(noise));
      assert.ok(decoded === undefined || decodeProbe(encodeProbe(decoded))?.nonce === decoded.nonce);
    }),
  );
});

test('loss and round trip are those of the last probes; what came before the first answer does not count', () => {
  const fold = (results: (number | undefined)[]) =>
    summary(
      results.reduce(
        (r, ms) => withResult(r, ms === undefined ? ms : { roundTripMs: ms, clockOffsetMs: 0 }, 1),
        UNPROBED,
      ),
    );
  assert.equal(summary(UNPROBED), undefined);
  assert.deepEqual(fold([undefined, undefined]), { roundTripMs: undefined, loss: 1, probes: 2, silent: 2 });
  assert.deepEqual(fold([undefined, undefined, 3]), { roundTripMs: 3, loss: 0, probes: 1, silent: 0 });
  assert.deepEqual(fold([5, 1, 3, undefined]), { roundTripMs: 3, loss: 0.25, probes: 4, silent: 1 });
  assert.equal(fold(Array.from({ length: 100 }, (_, i) => (i < 60 ? undefined : 2)))!.probes, 30);
  assert.equal(probeInterval(10_000, 3), 10_000);
  assert.equal(probeInterval(10_000, 10_000), 200_000);
});

test('counters are summed up over the subnets of a peer', () => {
  const element = (mac: string, base: string, bytes: number) => ({
    elem: { val: { concat: [mac, base] }, counter: { packets: 1, bytes } },
  });
  const inside = { elem: { val: '10.8.0.0', counter: { packets: 1, bytes: 3 } } };
  const json = JSON.stringify({
    nftables: [
      {
        set: {
          name: 'sources_24',
          elem: [element('02:00:00:00:00:02', '10.1.0.0', 10), element('02:00:00:00:00:02', '10.2.0.0', 5)],
        },
      },
      { set: { name: 'sources_16', elem: [element('02:00:00:00:00:03', '10.9.0.0', 7), inside, 'noise'] } },
      { map: { name: 'nexthops_24', elem: [['10.1.0.0', '10.1.0.2']] } },
    ],
  });
  const counts = parseReceived(json);
  assert.deepEqual(receivedFrom(counts, ['10.1.0.0/24', '10.2.0.0/24']), { packets: 2, bytes: 15 });
  assert.deepEqual(receivedFrom(counts, ['10.9.0.0/16']), { packets: 1, bytes: 7 });
  // Inside WireGuard no MAC stands before the subnet.
  assert.deepEqual(receivedFrom(counts, ['10.8.0.0/16']), { packets: 1, bytes: 3 });
  assert.equal(receivedFrom(counts, ['10.1.0.0/16']), undefined);
});

test('a peer that announces itself and does not answer is unreachable; the others are what they are', () => {
  const peers = [
    entry(2),
    entry(3),
    entry(4, { status: 'rejected', reason: 'subnet 10.100.1.0/24 overlaps' }),
    entry(5, { subnets: [] }),
    entry(6, { status: 'stale' }),
    entry(7, { host_ip: self.host_ip }),
    entry(8),
  ];
  const good = { round_trip_ms: 0.4, loss: 0, probes: 30, silent: 0 };
  const measured = [
    { stack_id: 'stack-2', ...good, received_bytes: 1_234_567 },
    { stack_id: 'stack-3', ...good, loss: 0.1, silent: 3 },
    { stack_id: 'stack-6', ...good },
    { stack_id: 'stack-7', ...good },
    { stack_id: 'stack-8', loss: 1, probes: 2, silent: 2 },
  ];
  const seen = view(peers, measured).peers.map(({ condition, path }) => `${condition} ${path}`);
  assert.deepEqual(seen, [
    'ok host',
    'unreachable host',
    'rejected none',
    'waiting none',
    'stale host',
    'ok same host',
    'unknown host',
  ]);
});

test('status as people read it', () => {
  const text = statusText(
    view(
      [entry(2), entry(30, { status: 'rejected', reason: 'the stack id stack-30 is already used' })],
      [{ stack_id: 'stack-2', round_trip_ms: 0.4123, loss: 0.033, probes: 30, silent: 0, received_bytes: 1_234_567 }],
    ),
    NOW,
  );
  assert.equal(
    text,
    `stack-1  VNI 1000  host 192.168.0.1 (eth0)
10.100.1.0/24, gateway 10.100.1.2, underlay host, UDP 4789, MTU 1450
discovery by multicast: ok

  STACK     STATE     ADDRESSES       ENDPOINT           PATH  ROUND TRIP  LOSS  RECEIVED  HEARD    ENCRYPTION
✓ stack-2   ok        10.100.2.0/24   192.168.0.2:4789   host  0.412 ms    3 %   1.23 MB   5 s ago  off
✗ stack-30  rejected  10.100.30.0/24  192.168.0.30:4789  -     -           -     -         5 s ago  -
    the stack id stack-30 is already used
`,
  );
});

test('a stack that encrypts is reached by the ports of WireGuard, and not by that of VXLAN', () => {
  assert.deepEqual(udpPorts({ vxlan_port: 4791 }), [4791]);
  assert.deepEqual(udpPorts({ vxlan_port: 4789, wg_port: 51_821, wg_other_port: 51_820 }), [51_820, 51_821]);
  assert.deepEqual(udpPorts({ vxlan_port: 4789, wg_port: 51_820 }), [51_820]);
  assert.deepEqual(udpPorts({ vxlan_port: 4789, encryption: { mode: 'required', engine: 'kernel' } }), []);
  const keys = { wg_port: 51_823, wg_other_port: 51_822 };
  const encrypts: RouterFile = { ...router, ...keys, encryption: { mode: 'required', engine: 'kernel' }, mtu: 1440 };
  const lines = statusText(
    view([entry(2, { wg_port: 51_820, wg_other_port: 51_821 }), entry(3)], [], encrypts),
    NOW,
  ).split('\n');
  assert.equal(lines[1], '10.100.1.0/24, gateway 10.100.1.2, underlay host, UDP 51822 and 51823, MTU 1440');
  assert.match(lines[5]!, / 192\.168\.0\.2:51820,51821 {2}host /);
  assert.match(lines[6]!, / 192\.168\.0\.3:4789 +host /);
});

test('quantities', () => {
  assert.deepEqual([0, 999, 1000, 999_499, 1e9].map(formatBytes), ['0 B', '999 B', '1.00 kB', '999 kB', '1.00 GB']);
  assert.deepEqual([-5, 119_000, 120_000, 7_200_000, 172_800_000].map(formatAge), [
    '0 s',
    '119 s',
    '2 min',
    '2 h',
    '2 d',
  ]);
});
