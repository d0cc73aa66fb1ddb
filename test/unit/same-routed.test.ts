import assert from 'node:assert/strict';
import { test } from 'node:test';
import { discoveryInput, peer } from '../../bench/control/peers.ts';
import { sameRouted } from '../../src/router/discovery-input.ts';
import type { PeerEntry } from '../../src/state/discovery-file.ts';

const base = discoveryInput([peer(1), peer(2)]);
const changed = (change: Partial<PeerEntry>) => ({
  ...base,
  peers: [base.peers[0]!, { ...base.peers[1]!, ...change }],
});

test('a file that differs in times or staleness alone asks nothing new of the kernel', () => {
  assert.ok(sameRouted(base, changed({ last_seen: '2025-01-01T00:00:00Z', status: 'stale' })));
});

test('every other difference is one', () => {
  assert.ok(!sameRouted(undefined, base));
  assert.ok(!sameRouted(base, { ...base, peers: base.peers.slice(1) }));
  assert.ok(!sameRouted(base, { ...base, self: { ...base.self, host_ip: '10.77.0.9' } }));
  const changes: Partial<PeerEntry>[] = [
    { stack_id: 'other' },
    { status: 'rejected' },
    { instance: '0'.repeat(16) },
    { since: 1 },
    { vni: 2 },
    { host_ip: '198.18.9.9' },
    { gateway_ip: '10.100.2.9' },
    { vtep_mac: '02:00:00:00:00:09' },
    { vxlan_port: 4791 },
    { wg_public_key: 'A'.repeat(43) },
    { wg_port: 51820 },
    { wg_slot: 1 },
    { wg_other_public_key: 'A'.repeat(43) },
    { wg_other_port: 51821 },
    { subnets: [] },
    { subnets: ['10.100.9.0/24'] },
  ];
  for (const change of changes) assert.ok(!sameRouted(base, changed(change)), JSON.stringify(change));
});
