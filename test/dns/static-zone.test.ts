/** A zone that an operator writes by hand, on a BIND that takes no updates. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { vtepMac } from '../../src/net/mac.ts';
import { DnsSource } from '../../src/sources/dns/dns.ts';
import { Stack, until } from '../conformance/lab.ts';
import { inPrivateNetwork } from '../conformance/network.ts';
import { block } from '../support/readme.ts';
import { record } from '../support/records.ts';
import { Bind, DOMAIN } from './bind.ts';
import { ids, lastMessage, SERVICE, SOON_MS, sees, stack } from './sources.ts';

const STACK_B = block('docs/dns.md', 'static-entry');
const STACK_C = STACK_B.replaceAll('stack-b', 'stack-c')
  .replaceAll('172.31.', '172.29.')
  .replaceAll('10.0.1.5', '10.0.1.6')
  .replaceAll('host-b', 'host-c');

let bind: Bind;
const running: Stack[] = [];
await inPrivateNetwork(import.meta.url);
before(async () => {
  bind = await Bind.start({ records: STACK_B, keys: [], zoneStatements: '' });
});
after(async () => {
  await Promise.all(running.map(({ source }) => source.stop()));
  await bind.close();
});

function reader(...[n, changes]: [number, Parameters<typeof stack>[2]?]): Stack {
  const made = stack(n, bind, { key: false, ...changes })
    .publish()
    .start();
  running.push(made);
  return made;
}

test('the least entry is a peer, with the VTEP MAC that follows from its id', async () => {
  const viewer = reader(1);
  await sees(viewer, 'stack-b');
  const { instance, ...seen } = viewer.everything()[0]!.record;
  assert.match(instance, /^[0-9a-f]{16}$/);
  assert.deepEqual(seen, {
    stack_id: 'stack-b',
    vni: 1000,
    host_ip: '10.0.1.5',
    subnets: ['172.31.0.0/24'],
    gateway_ip: '172.31.0.2',
    vtep_mac: vtepMac('stack-b'),
    vxlan_port: 4789,
    since: 0,
    boot: 0,
    seq: 0,
  });
  assert.match(lastMessage(viewer), /this stack is not listed/);
  assert.equal(viewer.works, true);
});

test('an edited zone is followed: more stacks, another address, fewer, none', async () => {
  const viewer = reader(1);
  await sees(viewer, 'stack-b');
  await bind.edit(STACK_B + STACK_C);
  await sees(viewer, 'stack-b stack-c');
  await bind.edit(STACK_B.replace('10.0.1.5', '10.0.1.7'));
  await until(
    () => viewer.everything()[0]?.record.host_ip === '10.0.1.7' && ids(viewer) === 'stack-b',
    SOON_MS,
    'moved',
    () => viewer.everything(),
  );
  // An empty zone removes peers.
  await bind.edit('');
  await sees(viewer, '');
  assert.equal(viewer.works, true);
  await bind.edit(STACK_B);
  await sees(viewer, 'stack-b');
});

test('a server that fails removes nobody', async () => {
  const viewer = reader(1);
  await sees(viewer, 'stack-b');
  bind.write('this is not a record');
  await bind.down();
  await bind.up('SERVFAIL');
  const told = () => viewer.works === false && /SERVFAIL/.test(viewer.trouble!);
  await until(told, SOON_MS, 'the failure is told', () => viewer.events.slice(-3));
  await sleep(1000);
  assert.equal(ids(viewer), 'stack-b');
  assert.ok(viewer.everything()[0]!.stale);
  bind.write(STACK_B);
  await bind.down();
  await bind.up();
  const mended = () => viewer.works === true && viewer.everything()[0]?.stale === false;
  await until(mended, SOON_MS, 'works again', () => viewer.events.slice(-3));
});

test("this stack's own entry is no peer; what is wrong in it is told", async () => {
  const self = { stack_id: 'stack-b', host_ip: '10.0.1.5', subnets: ['172.31.0.0/24'], gateway_ip: '172.31.0.2' };
  const right = reader(1, { record: self });
  const moved = reader(2, { record: { ...self, host_ip: '10.0.1.9' } });
  await until(
    () => /has listed this stack too/.test(lastMessage(right)),
    SOON_MS,
    'listed',
    () => right.events,
  );
  await until(
    () => moved.works === false,
    SOON_MS,
    'the mistake is told',
    () => moved.events,
  );
  assert.match(lastMessage(moved), /host address 10\.0\.1\.5 instead of 10\.0\.1\.9/);
  assert.deepEqual([ids(right), ids(moved)], ['', '']);
  assert.equal(right.works, true);
});

test('an address that only another server knows is reported, and harms nobody else', async () => {
  await bind.edit(`${STACK_B}${STACK_C.replace(/host-c.*\n$/, '').replace('4789 host-c', '4789 host.other.example.')}`);
  const viewer = reader(1);
  await sees(viewer, 'stack-b');
  const dropped = viewer.events.filter((event) => event.type === 'dropped');
  assert.match(JSON.stringify(dropped), new RegExp(`stack-c\\.${SERVICE}.*host\\.other\\.example`));
  assert.equal(viewer.works, true);
  await bind.edit(STACK_B);
});

test('a domain that does not exist has no stacks; one that is not served is a failure', async () => {
  assert.equal(bind.dig('PTR', `nothing.${DOMAIN}`), '');
  const config = { servers: [bind.server], update: undefined, ttlSeconds: 1, intervalMs: 300 };
  const said: string[] = [];
  for (const domain of [`nothing.${DOMAIN}`, 'not-served.example']) {
    const other = new Stack(new DnsSource({ ...config, domain }, 3000), record(1)).publish();
    running.push(other);
    other.source.start((event) => event.type === 'state' && said.push(`${event.ok} ${event.message}`));
  }
  await until(
    () => ['true ', 'false '].every((word) => said.some((text) => text.startsWith(word))),
    SOON_MS,
    'both speak',
    () => said,
  );
  assert.ok(
    said.some((text) => /^true reading nothing/.test(text)),
    said.join('\n'),
  );
  assert.ok(
    said.some((text) => /^false .*REFUSED/.test(text)),
    said.join('\n'),
  );
});
