/** What the doctor says of a way that is blocked; the lab has the other findings (test/lab/doctor.test.ts). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diagnose, type Facts } from '../../src/doctor/checks.ts';
import type { PeerEntry, SelfEntry } from '../../src/state/discovery-file.ts';
import type { RouterFile } from '../../src/state/router-file.ts';
import { statusView } from '../../src/status/view.ts';
import { record } from '../support/records.ts';

const AT = '2024-01-15T10:30:00Z';
const KEYS = { wg_port: 51_820, wg_other_port: 51_821 };
const entry = (n: number, changes: Partial<PeerEntry>): PeerEntry => {
  const { seq: _seq, boot: _boot, ...fields } = record(n);
  return {
    ...fields,
    last_seen: AT,
    status: 'active',
    source: 'multicast',
    vxlan_endpoint: `${fields.host_ip}:4789`,
    ...changes,
  };
};

/** What is found by one check where stack-2 does not answer. */
function found(name: string, ours: Partial<RouterFile>, theirs: Partial<PeerEntry>, changes: Partial<Facts>): string[] {
  const self: SelfEntry = { ...entry(1, {}), boot: 1 };
  const peers = [entry(2, theirs)];
  const router: RouterFile = { version: 1, last_update: AT, subnets: self.subnets, vxlan_port: 4789, ...ours };
  const silent = [{ stack_id: 'stack-2', loss: 1, probes: 9, silent: 9 }];
  const { peers: views } = statusView({
    self,
    peers,
    sources: {},
    router,
    measured: { version: 1, last_update: AT, peers: silent },
  });
  const facts: Facts = {
    ...{ netAdmin: true, handle: { path: '/handle', present: true }, underlay: 'auto', forwards: true },
    ...{ router, self, peers, views, dropped: {}, unread: [], checksumOffload: undefined },
    ...{ large: new Map(), heard: new Set() },
    ...changes,
  };
  const diagnosis = diagnose(facts).find((each) => each.name === name)!;
  return diagnosis.findings.map(({ text, remedy }) => `${text} -> ${remedy}`);
}

const way = (ours: Partial<RouterFile>, theirs: Partial<PeerEntry>, heard: string[]) =>
  found('way', ours, theirs, { heard: new Set(heard) });

test('a blocked way names the port of VXLAN', () => {
  assert.deepEqual(way({ vxlan_port: 4791 }, {}, []), [
    'nothing of stack-2 (192.168.0.2:4789) arrives here -> let UDP 4791 from 192.168.0.2 in on this host, 192.168.0.1: ' +
      'iptables -I INPUT -p udp --dport 4791 -j ACCEPT; and the same there',
  ]);
  assert.deepEqual(way({}, {}, ['stack-2']), [
    'packets of stack-2 arrive here, ours do not arrive there or the answers do not come back -> ' +
      'let UDP 4789 from 192.168.0.1 in on 192.168.0.2: iptables -I INPUT -p udp --dport 4789 -j ACCEPT; where its router has published ports, DOCKER-USER in place of INPUT',
  ]);
});

test('a blocked way names both ports of WireGuard where the stacks encrypt', () => {
  const ours: Partial<RouterFile> = {
    wg_port: 51_823,
    wg_other_port: 51_822,
    encryption: { mode: 'required', engine: 'kernel' },
  };
  assert.deepEqual(way(ours, KEYS, []), [
    'nothing of stack-2 (192.168.0.2:51820,51821) arrives here -> let UDP 51822 and 51823 from 192.168.0.2 in on this host, 192.168.0.1: ' +
      'iptables -I INPUT -p udp -m multiport --dports 51822,51823 -j ACCEPT; and the same there',
  ]);
  assert.deepEqual(way(ours, KEYS, ['stack-2']), [
    'packets of stack-2 arrive here, ours do not arrive there or the answers do not come back -> ' +
      'let UDP 51820 and 51821 from 192.168.0.1 in on 192.168.0.2: iptables -I INPUT -p udp -m multiport --dports 51820,51821 -j ACCEPT; where its router has published ports, DOCKER-USER in place of INPUT',
  ]);
});

test('on a published port the packets pass the chain of Docker', () => {
  const [finding] = way({ underlay: 'published', vxlan_port: 4800 }, {}, []);
  assert.match(finding!, /: iptables -I DOCKER-USER -p udp --dport 4800 -j ACCEPT; and the same there$/);
});

test('a way that swallows large packets takes less than the tunnel makes of them', () => {
  const large = new Map([['stack-2', false]]);
  const encryption = { mode: 'required', engine: 'kernel' } as const;
  assert.match(found('MTU', { mtu: 1450 }, {}, { large })[0]!, /packets of 1450 bytes do not: .* less than 1500 /);
  assert.match(found('MTU', { mtu: 1440, encryption }, KEYS, { large })[0]!, /1440 bytes do not: .* less than 1500 /);
});
