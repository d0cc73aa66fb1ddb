import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { readRouterConfig } from '../../src/config/router-config.ts';
import { fileFamily, processFamilies, selfFamilies } from '../../src/metrics/common.ts';
import { type DiscoveryKnows, discoveryFamilies } from '../../src/metrics/discovery-families.ts';
import { exposition } from '../../src/metrics/exposition.ts';
import { gauge } from '../../src/metrics/family.ts';
import { type RouterKnows, routerFamilies } from '../../src/metrics/router-families.ts';
import { ofSubnets } from '../../src/metrics/router-observation.ts';
import type { PeerEntry } from '../../src/state/discovery-file.ts';
import { parseExposition, sampleOf } from '../support/exposition.ts';
import { record } from '../support/records.ts';

const entry = (n: number, changes: Partial<PeerEntry> = {}): PeerEntry => {
  const { seq: _seq, boot: _boot, ...fields } = record(n);
  return { ...fields, last_seen: '2024-01-15T10:30:00Z', status: 'active', source: 'multicast', ...changes };
};
const id = (n: number) => record(n).stack_id;
const answered = (n: number) => ({ stack_id: id(n), loss: 0.1, probes: 10, silent: 0, round_trip_ms: 1.25 });
const ROUTER: RouterKnows = {
  peers: [entry(2), entry(3), entry(4, { status: 'rejected', reason: 'overlaps' }), entry(5, { subnets: [] })],
  measured: [
    { ...answered(2), last_answer: '2024-01-15T10:30:00Z', received_bytes: 1234, received_packets: 5 },
    { stack_id: id(3), loss: 1, probes: 4, silent: 4 },
  ],
  routes: 2,
  problems: [{ code: 'peer-refused' }, { code: 'peer-refused' }, { code: 'foreign-route' }],
  passes: { ok: 7, failed: 1 },
  changes: 31,
  lastPass: { wallMs: 1_700_000_000_500, tookMs: 12 },
};
const DISCOVERY: DiscoveryKnows = {
  file: { self: { ...entry(1), boot: 1 }, peers: ROUTER.peers as PeerEntry[] },
  sources: [
    ['multicast', { state: 'ok', since: '2024-01-15T10:30:00Z' }],
    ['etcd', { state: 'failing', since: '2024-01-15T10:30:00Z' }],
  ],
  dropped: [['multicast not sealed', { count: 3 }]],
};
const router = (knows: RouterKnows) =>
  exposition([...selfFamilies('docker_router', 'ok'), ...routerFamilies(knows), ...processFamilies()], { stack: 'a' });
const discovery = (knows: DiscoveryKnows) =>
  exposition([...selfFamilies('docker_router_discovery', 'unhealthy'), ...discoveryFamilies(knows)], { stack: 'a' });

async function allNames(): Promise<Set<string>> {
  const files = await Promise.all(
    ['docker_router', 'docker_router_discovery'].map((p) => fileFamily(p, '.', ['package.json'])),
  );
  const pages = [await router(ROUTER), await discovery(DISCOVERY), await exposition(files, {})];
  return new Set(pages.flatMap(parseExposition).map(({ name }) => name));
}

test("the router's metrics: units, conditions as docker-router status has them, and nothing of what is unknown", async () => {
  const series = parseExposition(await router(ROUTER));
  const value = (name: string, labels = {}) => sampleOf(series, `docker_router_${name}`, { stack: 'a', ...labels });
  const conditions = Object.fromEntries(
    ['ok', 'unreachable', 'rejected', 'waiting', 'stale', 'unknown'].map((condition) => [
      condition,
      value('peers', { condition }),
    ]),
  );
  assert.deepEqual(conditions, { ok: 1, unreachable: 1, rejected: 1, waiting: 1, stale: 0, unknown: 0 });
  assert.equal(value('peer_round_trip_seconds', { peer: id(2) }), 0.00125);
  assert.equal(value('peer_round_trip_seconds', { peer: id(3) }), undefined);
  assert.equal(value('peer_loss_ratio', { peer: id(3) }), 1);
  assert.equal(value('peer_reachable', { peer: id(2) }), 1);
  assert.equal(value('peer_reachable', { peer: id(3) }), 0);
  assert.equal(value('peer_reachable', { peer: id(4) }), undefined);
  assert.equal(value('peer_received_bytes_total', { peer: id(2) }), 1234);
  assert.equal(value('peer_last_answer_timestamp_seconds', { peer: id(2) }), Date.UTC(2024, 0, 15, 10, 30) / 1000);
  assert.equal(value('problems', { code: 'peer-refused' }), 2);
  assert.equal(value('passes_total', { result: 'failed' }), 1);
  assert.equal(value('kernel_changes_total'), 31);
  assert.equal(value('routes'), 2);
  assert.equal(value('last_pass_timestamp_seconds'), 1_700_000_000.5);
  assert.equal(value('last_pass_duration_seconds'), 0.012);
  assert.equal(value('healthy'), 1);
  assert.equal(sampleOf(series, 'docker_router_build_info', { node_version: process.version }), 1);
});

test("discovery's metrics; rejected stacks, whose names anybody can invent, are counted and have no series", async () => {
  const series = parseExposition(await discovery(DISCOVERY));
  const value = (name: string, labels = {}) => sampleOf(series, `docker_router_discovery_${name}`, labels);
  assert.equal(value('peers', { status: 'active' }), 3);
  assert.equal(value('peers', { status: 'rejected' }), 1);
  assert.equal(value('peers', { status: 'stale' }), 0);
  assert.equal(value('source_up', { source: 'multicast' }), 1);
  assert.equal(value('source_up', { source: 'etcd' }), 0);
  assert.equal(value('dropped_total', { source: 'multicast', kind: 'not sealed' }), 3);
  assert.equal(value('peer_last_seen_timestamp_seconds', { peer: id(2) }), Date.UTC(2024, 0, 15, 10, 30) / 1000);
  assert.equal(value('peer_last_seen_timestamp_seconds', { peer: id(4) }), undefined);
  assert.equal(value('healthy'), 0);
  assert.equal(value('accepted'), 1);
});

test('before anything is known there is a page all the same', async () => {
  const nothing = { peers: [], measured: [], routes: 0, problems: [], passes: { ok: 0, failed: 0 }, changes: 0 };
  const series = parseExposition(await router({ ...nothing, lastPass: undefined }));
  assert.equal(sampleOf(series, 'docker_router_peers', { condition: 'ok' }), 0);
  parseExposition(await discovery({ file: undefined, sources: [], dropped: [] }));
});

test('any text in a label comes back as it was, and begins no line of its own', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => {
      const page = await exposition([gauge('a_name', 'Help.', [{ labels: { kind: text }, value: 1 }])], {});
      assert.equal(parseExposition(page)[0]!.labels.kind, text);
    }),
  );
});

test('only the own subnets are admitted', () => {
  const own = (address: string) => ofSubnets(['172.30.0.0/24', '10.5.0.0/16'], address);
  assert.deepEqual(['172.30.0.9', '10.5.200.1', '172.31.0.4', '10.6.0.1', '127.0.0.1', '::1', ''].map(own), [
    true,
    true,
    false,
    false,
    false,
    false,
    false,
  ]);
});

test('METRICS_PORT: off unless it is set', () => {
  const port = (text?: string) => readRouterConfig(text === undefined ? {} : { METRICS_PORT: text }).metricsPort;
  assert.deepEqual([port(), port(''), port('off'), port('auto'), port('9100')], ['off', 'off', 'off', 'auto', 9100]);
  for (const text of ['0', '65536', 'on', '127.0.0.1:9471']) assert.throws(() => port(text), /METRICS_PORT/);
});

test('docs/metrics.md names every metric, and no other', async () => {
  const text = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
  const named = new Set(text.match(/`(?:docker_router|process)_[a-z_]+`/g)?.map((name) => name.slice(1, -1)));
  const known = await allNames();
  assert.deepEqual([...named].sort(), [...known].sort());
});

test('every metric that the dashboard asks for exists', async () => {
  const text = readFileSync(new URL('../../docs/grafana/docker-router.json', import.meta.url), 'utf8');
  const expressions: string[] = [];
  JSON.parse(text, (key, value) => {
    if (key === 'expr' || (key === 'query' && typeof value === 'string')) expressions.push(value);
    return value;
  });
  const asked = new Set(expressions.join(' ').match(/(?:docker_router|process)_[a-z_]+/g));
  const known = await allNames();
  assert.deepEqual(
    [...asked].filter((name) => !known.has(name)),
    [],
  );
  assert.ok(asked.size >= 12);
});
