import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { rememberedPeers } from '../../src/discovery/remembered.ts';
import { report } from '../../src/discovery/report.ts';
import { PRIVATE_PREFIXES } from '../../src/net/ipv4.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { anyRecord } from '../support/any-record.ts';
import { record } from '../support/records.ts';

const WALL = Date.UTC(2024, 0, 15, 10, 30, 5);

function written(known: StackRecord[]): string {
  const file = report({
    self: record(1),
    interfaceName: 'eth0',
    underlayMtu: 1500,
    hostAddresses: [],
    modes: ['multicast'],
    known: known.map((peer) => ({ record: peer, source: 'multicast', seenAt: 4000, stale: false })),
    refused: [],
    filter: { allow: [], deny: [] },
    dropped: {},
    sources: {},
    policy: { allowedSubnets: PRIVATE_PREFIXES, hostNetworks: [] },
    wallMs: WALL,
    uptimeS: 5000,
    monotonicMs: 9000,
  });
  return JSON.stringify(file);
}
const recollect = (text: string, changes = {}) =>
  rememberedPeers(text, {
    stackId: 'stack-1',
    modes: ['multicast'],
    wallMs: WALL,
    uptimeS: 200,
    mostAgeMs: 90_000,
    ...changes,
  });

test('a peer is remembered with everything it said, whatever fields there are', () => {
  fc.assert(
    fc.property(anyRecord, (any) => {
      // The addresses of an acceptable peer; the rest as it comes.
      const { subnets, gateway_ip, vtep_mac, host_ip, vxlan_port } = record(2);
      const peer = { ...any, vni: 1000, stack_id: 'stack-2', subnets, gateway_ip, vtep_mac, host_ip, vxlan_port };
      const [found] = recollect(written([peer]));
      assert.deepEqual({ ...found?.record }, { ...peer, boot: 0, seq: 0 });
    }),
  );
});

test('a wall clock that jumped by hours makes no file old; a host that started anew has the wall clock', () => {
  const text = written([record(2)]);
  for (const hours of [-5, 5]) {
    const wallMs = WALL + hours * 3_600_000;
    assert.equal(recollect(text, { wallMs, uptimeS: 5003 }).length, 1);
    assert.equal(recollect(text, { wallMs, uptimeS: 5100 }).length, 0);
    assert.equal(recollect(text, { wallMs, uptimeS: 20 }).length, 0);
  }
  assert.equal(recollect(text, { wallMs: WALL + 30_000, uptimeS: 20 }).length, 1);
});

test('nothing is remembered of another stack, of long ago, of a mode that is off, or of who was rejected', () => {
  const text = written([record(2)]);
  assert.equal(recollect(text).length, 1);
  assert.equal(recollect(text, { stackId: 'stack-9' }).length, 0);
  assert.equal(recollect(text, { wallMs: WALL + 91_000 }).length, 0);
  assert.equal(recollect(text, { modes: ['etcd'] }).length, 0);
  assert.equal(recollect(written([record(2, { vni: 2000 })])).length, 0);
  assert.equal(recollect('{').length, 0);
});
