/** A member that has the group's key and an identity of its own, and lies in its announcements, as datagrams to a running discovery. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '../../src/process/clock.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { encodeMessage, type Message } from '../../src/sources/multicast/message.ts';
import type { Gate } from '../../src/trust/gate.ts';
import { until } from '../support/discovery-process.ts';
import { inOwnNamespace } from '../support/own-namespace.ts';
import { record } from '../support/records.ts';
import { gate, HandClock, key, newIdentity } from '../support/trust.ts';
import { Wire } from '../support/wire.ts';

inOwnNamespace(import.meta.url);

const SETTINGS = { DISCOVERY_KEYS: key(1).toString('base64'), METRICS_PORT: '9471', PEER_TIMEOUT: '300s' };
type Row = { stack_id: string; status: string; reason?: string; subnets: string[] };

let wire: Wire;
let receiver: ChildProcess;
const rows = (): Row[] =>
  JSON.parse(readFileSync(join(wire.processes.folder('stack-a'), 'discovery.json'), 'utf8')).peers;
const row = (id: string) => rows().find(({ stack_id }) => stack_id === id);
const status = (id: string) => wire.processes.status('stack-a', id);

/** Older than each that announces a subnet of its own, so that its word alone would make it the senior one. */
const OLDEST = 1;
const honest = gate('honest', { clock: systemClock });
const liar = gate('liar', { clock: systemClock });
const truth = record(2, { stack_id: 'honest' });
const own = record(3, { stack_id: 'liar', since: OLDEST });
let seq = 1;
const announcement = (from: Gate, claim: StackRecord): Buffer => {
  seq += 1;
  const message: Message = { docker_router: 1, type: 'announce', interval_ms: 60_000, record: { ...claim, seq } };
  return encodeMessage(message, from);
};
const announce = (from: Gate, claim: StackRecord) => wire.send(receiver, 1, () => announcement(from, claim));

before(async () => {
  wire = await Wire.make();
  receiver = wire.start('stack-a', 'there', SETTINGS);
  await until('it listens', 20, () => {
    try {
      return wire.there('cat', '/proc/net/udp').includes(':12B6') && rows() !== undefined;
    } catch {
      return false;
    }
  });
  await announce(honest, truth);
  await announce(liar, own);
  await until('both are active', 10, () => status('honest') === 'active' && status('liar') === 'active');
});
after(() => wire.end());

/** The liar claims it: it is rejected for this reason and the honest one stays; and with what is its own the liar is active again. */
async function refused(claim: Partial<StackRecord>, reason: RegExp): Promise<void> {
  await announce(liar, { ...own, ...claim });
  await until('the liar is rejected', 10, () => status('liar') === 'rejected');
  assert.match(row('liar')!.reason!, reason);
  assert.deepEqual([row('honest')!.status, row('honest')!.subnets], ['active', truth.subnets]);
  await announce(liar, own);
  await until('the liar is active again', 10, () => status('liar') === 'active');
}

test('everything, 0.0.0.0/0, is refused', () =>
  refused({ subnets: ['0.0.0.0/0'], gateway_ip: '1.1.1.1' }, /not one that a stack can have/));
test("the receiver's host's subnet is refused", () =>
  refused({ subnets: ['10.88.0.0/25'], gateway_ip: '10.88.0.9' }, /overlaps this host's network 10\.88\.0\.0\/24/));
test("another's subnet is refused, whatever age the liar gives itself", () =>
  refused({ subnets: truth.subnets, gateway_ip: '10.100.2.99' }, /overlaps 10\.100\.2\.0\/24 of stack honest/));
test("a part of another's subnet beside its own is refused", () =>
  refused({ subnets: [...own.subnets, '10.100.2.128/25'] }, /overlaps 10\.100\.2\.0\/24 of stack honest/));
test("another's MAC is refused, whatever age the liar gives itself", () =>
  refused({ vtep_mac: truth.vtep_mac! }, /VTEP MAC .* already used by stack honest/));

test("the honest one's own changes stand against a liar that waits for them", async () => {
  await announce(liar, { ...own, subnets: truth.subnets, gateway_ip: '10.100.2.99' });
  await until('the liar is rejected', 10, () => status('liar') === 'rejected');
  const changed = { ...truth, subnets: [...truth.subnets, '10.101.7.0/24'] };
  await announce(honest, changed);
  await until('the change is known', 10, () => row('honest')?.subnets.length === 2);
  assert.deepEqual([status('honest'), status('liar')], ['active', 'rejected']);
  const goodbye: Message = {
    docker_router: 1,
    type: 'goodbye',
    stack_id: 'honest',
    instance: truth.instance,
    boot: truth.boot,
    seq,
  };
  await wire.send(receiver, 1, () => encodeMessage(goodbye, honest));
  await until(
    'it has left, and the subnet is free',
    10,
    () => status('honest') === undefined && status('liar') === 'active',
  );
  await announce(honest, { ...truth, boot: truth.boot + 1 });
  await until(
    'it is back, and its own is its own again',
    10,
    () => status('honest') === 'active' && status('liar') === 'rejected',
  );
  await announce(liar, own);
  await until('the liar is active again', 10, () => status('liar') === 'active');
});

test("another's id is refused, with both fingerprints", async () => {
  const impostor = newIdentity();
  const own_ = newIdentity();
  const victim = gate('victim', { clock: systemClock, identity: own_ });
  const theirs = record(4, { stack_id: 'victim' });
  await announce(victim, theirs);
  await until('the victim is active', 10, () => status('victim') === 'active');
  const false_ = gate('victim', { clock: systemClock, identity: impostor });
  await announce(false_, { ...theirs, instance: 'f'.repeat(16), since: OLDEST });
  await until('two rows of one id', 10, () => rows().filter(({ stack_id }) => stack_id === 'victim').length === 2);
  const [active, rejected] = ['active', 'rejected'].map((wanted) =>
    rows().find((one) => one.stack_id === 'victim' && one.status === wanted),
  );
  assert.deepEqual(active?.subnets, theirs.subnets);
  assert.ok(
    rejected?.reason?.includes(own_.fingerprint) && rejected.reason.includes(impostor.fingerprint),
    rejected?.reason,
  );
});

test('17 subnets, and 10,000, are no record at all', async () => {
  const known = rows();
  const subnets = (count: number) => Array.from({ length: count }, (_, i) => `10.${128 + (i >> 8)}.${i & 255}.0/24`);
  const [before] = [wire.dropped().get('malformed') ?? 0];
  await announce(liar, { ...own, subnets: subnets(17) });
  const many = {
    docker_router: 1,
    type: 'announce',
    interval_ms: 60_000,
    record: { ...own, subnets: subnets(10_000) },
  } as const;
  // No envelope holds so much, and no datagram either: its beginning, as large as a datagram can be.
  const clear = encodeMessage(many).subarray(0, 65_000);
  await wire.send(receiver, 1, () => clear);
  assert.equal(wire.dropped().get('malformed'), before + 2);
  assert.deepEqual(
    rows().map(({ stack_id, status: now }) => [stack_id, now]),
    known.map(({ stack_id, status: now }) => [stack_id, now]),
  );
});

test('what was made at another time is refused and told by how much; CLOCK_TOLERANCE moves the bound', async () => {
  const at = (minutes: number) => new HandClock(Date.now() + minutes * 60_000);
  const cases = [
    ['early', 6, /6 min in the future of this host's clock; .*CLOCK_TOLERANCE/],
    ['late', -6, /6 min old by this host's clock; .*CLOCK_TOLERANCE/],
    ['near', 4, undefined],
    ['nearly', -4, undefined],
  ] as const;
  const send = async () => {
    for (const [index, [id, minutes]] of cases.entries())
      await announce(gate(id, { clock: at(minutes) }), record(10 + index, { stack_id: id }));
  };
  await send();
  await until('all four are there', 10, () => cases.every(([id]) => status(id) !== undefined));
  for (const [id, , reason] of cases) {
    assert.equal(status(id), reason ? 'rejected' : 'active', id);
    if (reason) assert.match(row(id)!.reason!, reason);
  }
  receiver.kill('SIGKILL');
  await new Promise((resolve) => receiver.once('exit', resolve));
  receiver = wire.start('stack-a', 'there', { ...SETTINGS, CLOCK_TOLERANCE: '10m' });
  await until('it listens again', 20, () => wire.there('cat', '/proc/net/udp').includes(':12B6'));
  await send();
  await until('all four are believed', 10, () => cases.every(([id]) => status(id) === 'active'));
});
