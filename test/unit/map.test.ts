/** What the map makes of the shared volume's files. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytes, milliseconds, percent } from '../../src/map/page/words.ts';
import { MAX_SHOWN, viewOf } from '../../src/map/view.ts';
import { Demo } from '../support/map-demo.ts';

const folder = mkdtempSync(join(tmpdir(), 'docker-router-view-'));
const demo = new Demo(folder);

function files() {
  demo.write();
  const text = (name: string) => readFileSync(join(folder, name), 'utf8');
  return { discovery: text('discovery.json'), router: text('router.json'), status: text('status.json') };
}
test.after(() => rmSync(folder, { recursive: true, force: true }));

test('how each stack is, and why', () => {
  const view = viewOf(files(), Date.now());
  const health = Object.fromEntries(view.peers.map((peer) => [peer.stack, peer.health]));
  assert.deepEqual(health, {
    billing: 'good',
    metrics: 'good',
    search: 'good',
    catalogue: 'good',
    warehouse: 'lossy',
    reports: 'broken',
    'legacy-shop': 'refused',
    mail: 'stale',
  });
  assert.equal(view.self?.stack, 'shop');
  assert.deepEqual(view.self?.problems, []);
});

test('a stack that encrypts is shown with the ports of WireGuard', () => {
  const ports = { vxlan_port: 4789, wg_port: 51_820, wg_other_port: 51_821 };
  demo.add({ stack_id: 'sealed', host_ip: '10.0.1.9', ...ports });
  const sealed = viewOf(files(), Date.now()).peers.find(({ stack }) => stack === 'sealed');
  assert.equal(sealed?.endpoint, '10.0.1.9:51820,51821');
  const [first] = viewOf(files(), Date.now()).peers;
  assert.match(first!.endpoint, /:4789$/);
  demo.peers.pop();
});

test('measurements that are old, missing or strange are none', () => {
  const all = files();
  const later = viewOf(all, Date.now() + 300_000);
  assert.equal(later.measured, undefined);
  assert.equal(later.peers.find(({ stack }) => stack === 'reports')?.health, 'known');
  for (const status of [undefined, '', '[]', '{"last_update":"2026-01-01T00:00:00Z","peers":[5]}']) {
    const view = viewOf({ ...all, status }, Date.now());
    assert.equal(view.peers.length, demo.peers.length);
    assert.equal(view.peers.find(({ stack }) => stack === 'search')?.health, 'known');
  }
});

test('a refused stack does not borrow what was measured of its namesake', () => {
  demo.add({
    stack_id: 'search',
    host_ip: '10.0.1.9',
    instance: 'ffffffffffffffff',
    status: 'rejected',
    reason: 'taken',
  });
  const twins = viewOf(files(), Date.now()).peers.filter(({ stack }) => stack === 'search');
  assert.deepEqual(twins.map(({ health }) => health).sort(), ['good', 'refused']);
  assert.equal(twins.find(({ health }) => health === 'refused')?.roundTripMs, undefined);
  demo.peers.pop();
});

test('of very many stacks those that need somebody are shown', () => {
  for (let i = 0; i < MAX_SHOWN + 100; i += 1) demo.add({ stack_id: `many-${i}`, host_ip: '10.1.1.1' }, false);
  demo.add({ stack_id: 'last', host_ip: '10.1.1.2', status: 'rejected', reason: 'late' });
  const view = viewOf(files(), Date.now());
  assert.equal(view.peers.length, MAX_SHOWN);
  assert.equal(view.hidden, demo.peers.length - MAX_SHOWN);
  assert.ok(view.peers.some(({ stack }) => stack === 'last'));
  demo.peers.splice(8);
});

test('any file gives a view', () => {
  const { discovery } = files();
  assert.match(viewOf({}, 0).problem ?? '', /There is no discovery\.json/);
  const anything = fc.oneof(fc.string(), fc.json(), fc.constant(discovery.slice(0, 400)));
  fc.assert(
    fc.property(anything, anything, anything, (a, b, c) => {
      assert.ok(viewOf({ discovery: a, router: b, status: c }, 0).problem !== undefined);
      assert.equal(viewOf({ discovery, router: b, status: c }, 0).problem, undefined);
    }),
  );
});

test('numbers as people read them', () => {
  assert.deepEqual([0.043, 7.25, 99.96, 1234].map(milliseconds), ['0.04 ms', '7.3 ms', '100.0 ms', '1234 ms']);
  assert.deepEqual([0, 0.004, 0.11, 1].map(percent), ['0 %', '0.4 %', '11 %', '100 %']);
  assert.deepEqual([0, 999, 1000, 99_400, 1e6, 2.5e9].map(bytes), [
    '0 B',
    '999 B',
    '1.0 kB',
    '99.4 kB',
    '1.0 MB',
    '2.5 GB',
  ]);
});
