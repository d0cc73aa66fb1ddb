/** Stacks that list themselves on a BIND that takes signed updates. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Stack, until } from '../conformance/lab.ts';
import { inPrivateNetwork } from '../conformance/network.ts';
import { Bind, DOMAIN, testKey } from './bind.ts';
import { type Changes, PEER_TIMEOUT_MS, SERVICE, SOON_MS, says, sees, stack } from './sources.ts';

const KEYS = [testKey('docker-router'), testKey('long', 'hmac-sha512', 9), testKey('medium', 'hmac-sha384', 3)];

let bind: Bind;
const running = new Set<Stack>();
await inPrivateNetwork(import.meta.url);
before(async () => {
  bind = await Bind.start({ keys: KEYS });
});
afterEach(async () => {
  await Promise.all([...running].map(({ source }) => source.stop()));
  running.clear();
});
after(() => bind.close());

function run(n: number, changes: Changes = {}): Stack {
  const made = stack(n, bind, changes).publish().start();
  running.add(made);
  return made;
}

async function stop(one: Stack): Promise<void> {
  running.delete(one);
  await one.source.stop();
}

/** What the zone holds under a stack's name, without what changes with each renewal. */
function listed(stackId: string): string[] {
  const name = `${stackId}.${SERVICE}`;
  const lines = [
    bind.dig('TXT', name),
    bind.dig('SRV', name),
    bind.dig('A', `${stackId}.docker-router.${DOMAIN}`),
    bind.dig('PTR', SERVICE),
  ];
  return lines
    .join('')
    .split('\n')
    .filter((line) => line.includes(stackId))
    .map((line) => line.replace(/\s+/g, ' ').replace(/ "(lease|until|n)=\w+"/g, ''));
}

test('the zone shows a stack as DNS-SD does, and nothing of it after a clean stop', async () => {
  const one = run(1);
  await says(one, /lists this stack too/);
  assert.deepEqual(listed('stack-1'), [
    `stack-1.${SERVICE}. 1 IN TXT "txtvers=1" "vni=1000" "net=10.100.1.0/24" "gw=10.100.1.2" "inst=0000000000000001" "since=loyw3v29" "boot=loyw3v29" "seq=1"`,
    `stack-1.${SERVICE}. 1 IN SRV 0 0 4789 stack-1.docker-router.${DOMAIN}.`,
    `stack-1.docker-router.${DOMAIN}. 1 IN A 192.168.0.1`,
    `${SERVICE}. 1 IN PTR stack-1.${SERVICE}.`,
  ]);
  await stop(one);
  assert.deepEqual(listed('stack-1'), []);
});

test('the lease is renewed three times in its length', async () => {
  const one = run(1);
  await says(one, /lists this stack too/);
  const lease = () => {
    const found = /"lease=6" "until=(\d+)" "n=(\w+)"/.exec(bind.dig('TXT', `stack-1.${SERVICE}`))!;
    return { end: Number(found[1]), renewals: Number.parseInt(found[2]!, 36) };
  };
  const [first, began] = [lease(), performance.now()];
  assert.ok(Math.abs(first.end - Date.now() / 1000 - 6) <= 4, 'ends by the wall clock');
  await sleep(2 * PEER_TIMEOUT_MS);
  const last = lease();
  // Every two seconds or a little more often; fewer where the machine is busy.
  const [most, made] = [(performance.now() - began) / 1800 + 2, last.renewals - first.renewals];
  assert.ok(made >= most / 3 && made <= most, `${made} renewals`);
  assert.ok(last.end > first.end);
});

test('a changed record is listed at once', async () => {
  // Renewed only every 20 s.
  const one = run(1, { peerTimeoutMs: 60_000 });
  await says(one, /lists this stack too/);
  one.change({ vxlan_port: 4795, host_ip: '192.168.7.7' });
  const changed = () => listed('stack-1').filter((line) => / 4795 |192\.168\.7\.7/.test(line)).length === 2;
  await until(changed, SOON_MS, 'changed', () => listed('stack-1'));
});

test('what somebody deletes is back with the next renewal', async () => {
  const one = run(1);
  await says(one, /lists this stack too/);
  bind.nsupdate([
    `update delete ${SERVICE} PTR stack-1.${SERVICE}.`,
    `update delete stack-1.docker-router.${DOMAIN} A`,
  ]);
  assert.equal(listed('stack-1').length, 2);
  await until(
    () => listed('stack-1').length === 4,
    SOON_MS,
    'whole again',
    () => listed('stack-1'),
  );
  bind.nsupdate([`update delete stack-1.${SERVICE}`]);
  await until(
    () => listed('stack-1').length === 4,
    SOON_MS,
    'whole again',
    () => listed('stack-1'),
  );
  await says(one, /lists this stack too/);
});

test('every key algorithm is understood by BIND', async () => {
  for (const [n, key] of KEYS.entries()) {
    const one = run(n + 1, { key });
    await says(one, /lists this stack too/, key.algorithm);
  }
});

test("an operator's entry is never overwritten", async () => {
  const lines = [
    `update add ${SERVICE} 5 PTR stack-1.${SERVICE}.`,
    `update add stack-1.${SERVICE} 5 SRV 0 0 4789 ns.${DOMAIN}.`,
    `update add stack-1.${SERVICE} 5 TXT "vni=1000" "net=10.100.1.0/24" "gw=10.100.1.2"`,
  ];
  bind.nsupdate(lines);
  const before = listed('stack-1');
  const one = run(1, { record: { host_ip: '127.0.0.1' } });
  await says(one, /an operator has listed this stack too/);
  const wrong = run(1, { record: { host_ip: '10.5.5.5', instance: 'a'.repeat(16) } });
  await says(wrong, /host address 127\.0\.0\.1 instead of 10\.5\.5\.5/);
  await sleep(1500);
  assert.deepEqual(listed('stack-1'), before);
  await stop(wrong);
  await stop(one);
  assert.deepEqual(listed('stack-1'), before, 'nor deleted');
  bind.nsupdate(lines.slice(1).map((line) => line.replace('add', 'delete').replace(' 5 ', ' ')));
  bind.nsupdate([lines[0]!.replace('add', 'delete').replace(' 5 ', ' ')]);
});

test('records of something else under our name are not touched either', async () => {
  bind.nsupdate([`update add stack-1.${SERVICE} 5 TXT "path=/"`]);
  const one = run(1);
  await says(one, /holds something else already/);
  bind.nsupdate([`update delete stack-1.${SERVICE}`, `update add stack-1.${SERVICE} 5 SRV 0 0 80 ns.${DOMAIN}.`]);
  await says(one, /without a TXT record/);
  assert.equal(listed('stack-1').length, 1);
  bind.nsupdate([`update delete stack-1.${SERVICE}`]);
  await says(one, /lists this stack too/);
});

test('a second stack with the same id is refused and told who holds it, for as long as that one lives', async () => {
  const first = run(1);
  const viewer = run(9);
  await sees(viewer, 'stack-1');
  const second = run(2, { record: { stack_id: 'stack-1' } });
  await says(second, /the stack id stack-1 is held by another stack, on 192\.168\.0\.1/);
  await sleep(2 * PEER_TIMEOUT_MS);
  assert.equal(viewer.everything()[0]?.record.instance, first.record.instance);
  assert.equal(first.works, true, first.trouble);
});

test('the name of a dead stack is taken at the end of its lease, or once nobody has renewed it for that long', async () => {
  const leftBy = (stackId: string, until: number) => [
    `update add stack-${stackId}.${SERVICE} 5 TXT "txtvers=1" "vni=1000" "inst=00000000000000ff" "since=a" "boot=a" "seq=1" "lease=4" "until=${until}" "n=1"`,
    `update add stack-${stackId}.${SERVICE} 5 SRV 0 0 4789 ns.${DOMAIN}.`,
    `update add ${SERVICE} 5 PTR stack-${stackId}.${SERVICE}.`,
  ];
  const now = Math.ceil(Date.now() / 1000);
  // The second lease ends in a year: written by a clock that was wrong.
  bind.nsupdate([...leftBy('1', now + 4), ...leftBy('2', now + 31_536_000)]);
  const [one, two] = [run(1), run(2)];
  for (const stack of [one, two]) await says(stack, /held by another stack, on 127\.0\.0\.1/);
  for (const stack of [one, two]) await says(stack, /lists this stack too/);
});

test('of many with one id that start at the same moment exactly one is listed', async () => {
  const rivals = Array.from({ length: 12 }, (_, i) => run(20 + i, { record: { stack_id: 'stack-x' } }));
  const status = () => rivals.map((rival) => rival.works);
  await until(() => !status().includes(undefined), SOON_MS, 'all know', status);
  assert.equal(status().filter(Boolean).length, 1);
  const winner = rivals.find(({ works }) => works)!;
  assert.ok(listed('stack-x').join().includes(`inst=${winner.record.instance}`));
  await sleep(PEER_TIMEOUT_MS);
  assert.deepEqual(status().filter(Boolean).length, 1);
  assert.equal(winner.works, true, 'and stays');
});

test('of two copies of a volume the one that started later is listed, the other told', async () => {
  const old = run(1);
  await says(old, /lists this stack too/);
  const copy = run(1, { record: { host_ip: '192.168.9.9', boot: old.record.boot + 1000 } });
  await says(copy, /lists this stack too/);
  await says(old, /also runs on 192\.168\.9\.9/);
  await sleep(1500);
  assert.equal(copy.works, true);
});

test('a stack whose volume was lost succeeds itself on the same host and port without waiting', async () => {
  const one = run(1);
  await says(one, /lists this stack too/);
  const entry = listed('stack-1');
  await stop(one);
  const until_ = Math.ceil(Date.now() / 1000) + 90;
  bind.nsupdate([
    `update add stack-1.${SERVICE} 5 ${entry[0]!.split(' IN ')[1]} "lease=90" "until=${until_}" "n=1"`,
    `update add stack-1.${SERVICE} 5 ${entry[1]!.split(' IN ')[1]}`,
    `update add stack-1.docker-router.${DOMAIN} 5 A 192.168.0.1`,
  ]);
  const reborn = run(1, { record: { instance: 'b'.repeat(16), boot: one.record.boot + 5 } });
  await says(reborn, /lists this stack too/);
});
