import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clockVerdicts } from '../../src/contexts/checks/clock.ts';
import { engineVerdict, kernelVerdict } from '../../src/contexts/checks/connection.ts';
import { composeVerdict } from '../../src/contexts/checks/desk.ts';
import { pathVerdicts, probeSizes } from '../../src/contexts/checks/paths.ts';
import { addressVerdict, candidatePorts, deviceVerdicts, hostVerdict } from '../../src/contexts/checks/tunnel.ts';
import { buildTrouble } from '../../src/contexts/images.ts';
import { failed, noted, passed, skipped, summary, verdictTable } from '../../src/contexts/verdict.ts';
import { isAtLeast } from '../../src/contexts/versions.ts';

test('versions as they are printed', () => {
  for (const text of ['20.10.24+dfsg1', '26.1.5+dfsg1', 'v2.26.1-4', '29.0.0-rc.1', '20.10'])
    assert.ok(isAtLeast(text, text.startsWith('v') ? '2.0' : '20.10'), text);
  for (const text of ['19.03.15', '1.13.1', '20.9', '', 'master-dockerproject', '20'])
    assert.ok(!isAtLeast(text, '20.10'), text);
  assert.equal(engineVerdict('a', '19.03.15').status, 'FAILED');
  assert.equal(engineVerdict('a', '26.1.5').status, 'ok');
  assert.equal(composeVerdict('desk', '1.29.2').status, 'FAILED');
  assert.equal(kernelVerdict('a', 'Linux 4.19.0-21-amd64')?.status, 'FAILED');
  assert.equal(kernelVerdict('a', 'Linux 6.1.0')?.status, 'ok');
  assert.equal(kernelVerdict('a', ''), undefined);
});

test('what a host says cannot command the terminal', () => {
  assert.equal(failed('a', 'engine', '\u001b[31mred\u001b[0m\u0007 \u009b2Jé', 'x').detail, 'red    2Jé');
});

test('the table: a line for each verdict, the remedy below its failure', () => {
  const verdicts = [
    passed('remote1', 'ssh', 'fine'),
    failed('remote1 → remote2', 'UDP 4789', 'blocked', 'open it'),
    skipped('b', 'MTU', 'nothing'),
  ];
  assert.deepEqual(verdictTable(verdicts), [
    '  remote1            ssh       ok       fine',
    '  remote1 → remote2  UDP 4789  FAILED   blocked',
    '                                        → open it',
    '  b                  MTU       skipped  nothing',
  ]);
  assert.equal(summary(verdicts), '1 of 3 checks FAILED, 1 skipped');
  assert.equal(summary([passed('a', 'b'), noted('a', 'c', 'd')]), 'all good: 1 checks, 1 to note');
});

const side = (name: string, mtu = 1500, vxlanMtu?: number) => ({
  name,
  address: `10.0.0.${name}`,
  port: 4789,
  mtu,
  vxlanMtu,
});
const statuses = (verdicts: readonly { status: string }[]) => verdicts.map(({ status }) => status);

test('a direction in which nothing arrives is blocked, whatever the other one does', () => {
  const [udp, mtu] = pathVerdicts(side('1'), side('2'), undefined);
  assert.equal(udp?.subject, '1 → 2');
  assert.match(udp?.detail ?? '', /nothing arrives at 10\.0\.0\.2 from 10\.0\.0\.1/);
  assert.match(udp?.remedy ?? '', /4789/);
  assert.equal(mtu?.status, 'skipped');
});

test('the path’s MTU is what arrives, and the remedy leaves room for the tunnel', () => {
  assert.deepEqual(statuses(pathVerdicts(side('1'), side('2'), { 128: 5, 1400: 3, 1500: 1 })), ['ok', 'ok']);
  const [, small] = pathVerdicts(side('1'), side('2'), { 128: 5, 1400: 3 });
  assert.equal(small?.status, 'FAILED');
  assert.match(small?.detail ?? '', /1400 bytes arrive, the interfaces promise 1500/);
  assert.match(small?.remedy ?? '', /VXLAN_MTU=1350 /);
  // Jumbo frames on one side only promise nothing.
  assert.deepEqual(statuses(pathVerdicts(side('1', 9000), side('2'), { 128: 5, 1500: 3 })), ['ok', 'ok']);
  // Who has set VXLAN_MTU already has mended it.
  assert.deepEqual(statuses(pathVerdicts(side('1', 1500, 1350), side('2'), { 128: 5, 1400: 3 })), ['ok', 'ok']);
  assert.deepEqual(statuses(pathVerdicts(side('1', 1500, 1351), side('2'), { 128: 5, 1400: 3 })), ['ok', 'FAILED']);
});

test('packet sizes cover every interface and stay within the largest', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 576, max: 9216 }), { minLength: 2, maxLength: 5 }), (mtus) => {
      const sizes = probeSizes(mtus);
      assert.ok(mtus.every((mtu) => sizes.includes(mtu)));
      assert.ok(sizes.every((size) => size <= Math.max(...mtus) && size >= 128));
      assert.deepEqual(
        sizes,
        [...new Set(sizes)].sort((a, b) => a - b),
      );
    }),
  );
});

test('clocks are judged by the middle one, so that a wrong desk is blamed itself', () => {
  const offsets = (...ms: number[]) => ms.map((value, i) => ({ subject: `host${i + 1}`, ms: value }));
  assert.deepEqual(statuses(clockVerdicts('desk', offsets(10, -20, 5))), ['ok', 'ok', 'ok']);
  const late = clockVerdicts('desk', offsets(10, 3_600_000, 5));
  assert.deepEqual(
    late.filter(({ status }) => status === 'FAILED').map(({ subject }) => subject),
    ['host2'],
  );
  const desk = clockVerdicts('desk', offsets(-3_600_000, -3_600_020, -3_600_001));
  assert.deepEqual(
    desk.filter(({ status }) => status === 'FAILED').map(({ subject }) => subject),
    ['desk'],
  );
  assert.equal(clockVerdicts('desk', offsets(5000, 0))[0]?.status, 'note');
});

test('the kernel’s answer to the tunnel', () => {
  assert.deepEqual(statuses(deviceVerdicts('a', 4789, { port: 4789 })), ['ok', 'ok']);
  assert.match(deviceVerdicts('a', 4789, { port: 4791 })[0]!.detail, /4791, since 4789 is taken/);
  assert.match(deviceVerdicts('a', 4789, { error: 'Error: Unknown device type.' })[0]!.remedy!, /modprobe vxlan/);
  assert.match(
    deviceVerdicts('a', 4789, { error: 'RTNETLINK answers: Address already in use' })[0]!.remedy!,
    /ss -lunp/,
  );
  const handle = deviceVerdicts('a', 4789, { error: 'RTNETLINK answers: Operation not permitted' })[0]!;
  assert.equal(handle.check, 'handle');
  assert.match(handle.remedy!, /UNDERLAY=published/);
  assert.deepEqual(candidatePorts(4789), [4789, 4791, 4792, 4793, 4794, 4795, 4796]);
});

test('an engine that maps user ids is named as the reason', () => {
  // As engine 26.1 says it.
  const said =
    "docker: Error response from daemon: cannot share the host's network namespace when user namespaces are enabled.";
  const verdict = hostVerdict('a', said);
  assert.equal(verdict.check, 'handle');
  assert.match(verdict.remedy!, /daemon\.json/);
  assert.equal(hostVerdict('a', 'no space left').detail, 'no space left');
});

test('the host’s address', () => {
  assert.equal(addressVerdict('a', {}, undefined).status, 'FAILED');
  assert.equal(addressVerdict('a', { address: '10.0.0.1', interface: 'eth0', mtu: 1500 }, undefined).status, 'ok');
  assert.equal(addressVerdict('a', { address: '203.0.113.1' }, '203.0.113.1').status, 'note');
});

test('a failed build is told by its reason, not by what it proposes', () => {
  const stderr = [
    'build: fetching the base image node:26 for linux/amd64',
    'build: there is no base image node:26 for linux/amd64 here or in a registry. Make one:',
    'build:   docker import ...',
  ].join('\n');
  assert.equal(buildTrouble(stderr), 'there is no base image node:26 for linux/amd64 here or in a registry');
});
