/** The etcd source against a gateway whose every answer the test decides: what a real etcd does only at bad moments. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, test } from 'node:test';
import type { EtcdConfig } from '../../src/config/etcd-config.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { EtcdSource } from '../../src/sources/etcd/etcd.ts';
import { decode, encode, recordKey } from '../../src/sources/etcd/keys.ts';
import type { SourceEvent } from '../../src/sources/source.ts';
import { record } from '../support/records.ts';

const PREFIX = '/p';
type Json = Record<string, unknown>;
type Answer = Json | { readonly status: number; readonly refusal: Json };

/** Holds records at a revision and answers as etcd does, unless `instead` says otherwise. */
class Gateway {
  readonly server: Server = createServer();
  readonly asked: { path: string; body: Json; token: string | undefined }[] = [];
  readonly watches: ServerResponse[] = [];
  revision = 10;
  records: StackRecord[] = [];
  instead: (path: string, body: Json) => Answer | undefined = () => undefined;

  async start(): Promise<string> {
    this.server.on('request', async (request, response) => {
      const body = JSON.parse((await request.setEncoding('utf8').toArray()).join('')) as Json;
      const path = request.url ?? '';
      this.asked.push({ path, body, token: request.headers.authorization });
      const answer = this.instead(path, body) ?? this.#answer(path, body);
      if ('refusal' in answer) return response.writeHead(answer.status as number).end(JSON.stringify(answer.refusal));
      if (path !== '/v3/watch') return response.end(JSON.stringify(answer));
      this.watches.push(response);
      response.write(`${JSON.stringify(answer)}\n`);
    });
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  get header() {
    return { cluster_id: '1', revision: String(this.revision) };
  }

  /** Says something on the watch that was begun last. */
  tell(line: Json): void {
    this.watches.at(-1)!.write(`${JSON.stringify(line)}\n`);
  }

  of(path: string): Json[] {
    return this.asked.filter((call) => call.path === path).map(({ body }) => body);
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  #answer(path: string, body: Json): Answer {
    const { header } = this;
    if (path === '/v3/lease/grant') return { header, ID: body.ID, TTL: body.TTL };
    if (path === '/v3/lease/keepalive') return { result: { header, ID: body.ID, TTL: '3' } };
    if (path === '/v3/kv/txn') return { header, succeeded: true };
    if (path === '/v3/kv/range') return this.#range(body);
    if (path === '/v3/watch') return { result: { header, created: true } };
    return { header };
  }

  #range({ key, limit }: Json): Json {
    const rows = this.records
      .map((value) => ({ key: encode(recordKey(PREFIX, value.stack_id)), value: encode(JSON.stringify(value)) }))
      .filter((row) => Buffer.compare(Buffer.from(row.key, 'base64'), Buffer.from(String(key), 'base64')) >= 0);
    const kvs = rows.slice(0, Number(limit));
    return { header: this.header, kvs, more: kvs.length < rows.length, count: String(rows.length) };
  }
}

let gateway: Gateway;
let source: EtcdSource;
let events: SourceEvent[];
let config: EtcdConfig;
beforeEach(async () => {
  gateway = new Gateway();
  events = [];
  config = {
    endpoints: [await gateway.start()],
    prefix: PREFIX,
    leaseTtlMs: 3000,
    username: undefined,
    password: undefined,
    tls: { ca: undefined, cert: undefined, key: undefined },
  };
});
afterEach(async () => {
  await source.stop();
  gateway.stop();
});

function start(changes: Partial<EtcdConfig> = {}): void {
  source = new EtcdSource({ ...config, ...changes });
  source.publish(record(1));
  source.start((event) => events.push(event));
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `${what}: ${JSON.stringify(events)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const snapshots = () =>
  events.flatMap((event) => (event.type === 'snapshot' ? [event.records.map(({ stack_id }) => stack_id)] : []));
const failing = () => events.flatMap((event) => (event.type === 'state' && !event.ok ? [event] : []));
/** Whether the first failing state says this, and that the others are seen all the same. */
const isSeeing = (pattern: RegExp) =>
  failing().some((event) => pattern.test(event.message ?? '') && 'seeing' in event && event.seeing);
const works = () => until(() => events.some((event) => event.type === 'state' && event.ok), 'works');

const ends: [string, (gateway: Gateway) => void][] = [
  [
    'is cancelled since its revision was compacted',
    (g) => g.tell({ result: { header: g.header, canceled: true, compact_revision: '15' } }),
  ],
  ['is cancelled', (g) => g.tell({ result: { header: g.header, canceled: true } })],
  [
    'is cancelled since the token expired',
    (g) => g.tell({ result: { header: g.header, canceled: true, cancel_reason: 'etcdserver: invalid auth token' } }),
  ],
  ['ends with an error', (g) => g.tell({ error: { grpc_code: 14, message: 'etcdserver: no leader' } })],
  ['ends', (g) => g.watches.at(-1)!.end()],
  ['breaks', (g) => g.watches.at(-1)!.destroy()],
];
for (const [what, end] of ends) {
  test(`a watch that ${what} is followed by a fresh snapshot, without a word`, async () => {
    gateway.records = [record(2), record(3)];
    start();
    await works();
    gateway.records = [record(3), record(4)];
    gateway.revision = 20;
    end(gateway);
    await until(() => snapshots().length === 2, 'a second snapshot');
    assert.deepEqual(snapshots(), [
      ['stack-2', 'stack-3'],
      ['stack-3', 'stack-4'],
    ]);
    await until(() => gateway.watches.length === 2, 'a second watch');
    assert.deepEqual(
      gateway.of('/v3/watch').map(({ create_request }) => (create_request as Json).start_revision),
      ['11', '21'],
    );
    assert.deepEqual(failing(), []);
  });
}

test('a large table is read in pages of one revision', async () => {
  gateway.records = Array.from({ length: 1203 }, (_, i) => record(i + 2));
  gateway.records.sort((a, b) => (a.stack_id < b.stack_id ? -1 : 1));
  start();
  await works();
  assert.equal(snapshots()[0]?.length, 1203);
  assert.deepEqual(
    gateway.of('/v3/kv/range').map(({ revision }) => revision),
    ['0', '10', '10'],
  );
});

test('a revision that is compacted away while its pages are read is followed by a fresh snapshot, without a word', async () => {
  gateway.records = Array.from({ length: 700 }, (_, i) => record(i + 2));
  gateway.records.sort((a, b) => (a.stack_id < b.stack_id ? -1 : 1));
  let pages = 0;
  gateway.instead = (path) => {
    if (path !== '/v3/kv/range') return undefined;
    pages += 1;
    if (pages !== 4) return undefined;
    return { status: 400, refusal: { code: 11, message: 'etcdserver: mvcc: required revision has been compacted' } };
  };
  start();
  await works();
  gateway.watches.at(-1)!.destroy();
  await until(() => snapshots().length === 2, 'a second snapshot');
  assert.equal(pages, 6, 'the fourth page was refused');
  assert.deepEqual(failing(), []);
});

test('pages without end are read no further than to the most keys that are looked at', async () => {
  const row = (i: number) => ({ key: encode(`${PREFIX}/junk-${i}`) });
  let sent = 0;
  gateway.instead = (path) => {
    if (path !== '/v3/kv/range') return undefined;
    const kvs = Array.from({ length: 20_000 }, (_, i) => row(sent + i));
    sent += kvs.length;
    return { header: gateway.header, kvs, more: true, count: '9000000' };
  };
  start();
  await works();
  assert.equal(sent, 80_000);
  assert.deepEqual(snapshots(), [[]]);
  assert.ok(events.some((event) => event.type === 'dropped' && event.kind === 'too many keys'));
});

test('an answer that is too large is asked for in smaller parts', async () => {
  gateway.records = Array.from({ length: 9 }, (_, i) => record(i + 1));
  const refusal = { code: 8, message: 'grpc: received message larger than max (9000000 vs. 4194304)' };
  gateway.instead = (path, { limit }) =>
    path === '/v3/kv/range' && Number(limit) > 4 ? { status: 429, refusal } : undefined;
  start();
  await works();
  assert.equal(snapshots()[0]?.length, 8, 'all but the own record');
});

test('a token that is no longer accepted is renewed, and the call made again', async () => {
  let logins = 0;
  gateway.instead = (path) => {
    const { token } = gateway.asked.at(-1)!;
    if (path === '/v3/auth/authenticate') {
      logins += 1;
      return { token: `token-${logins}` };
    }
    if (token === 'token-1' && path === '/v3/kv/range') {
      return { status: 401, refusal: { code: 16, message: 'etcdserver: invalid auth token' } };
    }
    return undefined;
  };
  start({ username: 'me', password: 'secret' });
  await works();
  assert.equal(logins, 2);
  assert.deepEqual(failing(), []);
});

test('a lease that etcd no longer knows is replaced and the key put again', async () => {
  start({ leaseTtlMs: 1000 });
  await works();
  let lost = false;
  gateway.instead = (path) => {
    if (path !== '/v3/lease/keepalive' || lost) return undefined;
    lost = true;
    return { result: { header: gateway.header } };
  };
  await until(() => gateway.of('/v3/kv/txn').length === 2, 'put again');
  const ids = gateway.of('/v3/lease/grant').map(({ ID }) => ID);
  assert.equal(new Set(ids).size, 2);
  assert.deepEqual(failing(), []);
});

test('a key that somebody holds keeps nobody from seeing the others, whom the state does not make stale', async () => {
  const holder = record(5, { stack_id: 'stack-1' });
  const kvs = [
    { key: encode(recordKey(PREFIX, 'stack-1')), value: encode(JSON.stringify(holder)), mod_revision: '4', lease: '9' },
  ];
  gateway.records = [holder, record(2)];
  gateway.instead = (path) =>
    path === '/v3/kv/txn' ? { header: gateway.header, responses: [{ response_range: { kvs } }] } : undefined;
  start();
  await until(() => failing().length === 1, 'the state says so');
  assert.deepEqual(snapshots(), [['stack-1', 'stack-2']]);
  assert.ok(isSeeing(/is held by another stack/));
});

test('a right to write that is taken away later makes nobody stale either', async () => {
  gateway.records = [record(2)];
  start();
  await works();
  const refusal = { code: 7, message: 'etcdserver: permission denied' };
  gateway.instead = (path) => (path === '/v3/kv/txn' ? { status: 403, refusal } : undefined);
  source.publish(record(1, { seq: 9 }));
  await until(() => failing().length === 1, 'the state says so');
  assert.ok(isSeeing(/may not write below/));
  assert.equal(gateway.watches.length, 1, 'the watch goes on');
});

test('a clean stop says that nothing is to be reached any more, and then ends the lease', async () => {
  start();
  await works();
  const seen = gateway.asked.length;
  await source.stop();
  const [put, revoke, ...more] = gateway.asked.slice(seen);
  assert.deepEqual([put?.path, revoke?.path, more.length], ['/v3/kv/txn', '/v3/lease/revoke', 0]);
  const [{ request_put }] = put!.body.success as [{ request_put: { value: string } }];
  const { subnets, gateway_ip, seq } = JSON.parse(decode(request_put.value)) as StackRecord;
  assert.deepEqual([subnets, gateway_ip, seq], [[], undefined, record(1).seq + 1]);
});

test('a stop while etcd says nothing takes well under a second', async () => {
  start();
  await works();
  gateway.instead = () => {
    throw new Error('silent');
  };
  gateway.server.removeAllListeners('request');
  const began = performance.now();
  await source.stop();
  assert.ok(performance.now() - began < 900);
});
