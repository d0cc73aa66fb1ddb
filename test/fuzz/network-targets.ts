/** Parsers that face the network: datagrams, records, etcd, DNS, Serf. */
import assert from 'node:assert/strict';
import { decodeMulti, encode } from '@msgpack/msgpack';
import packet from 'dns-packet';
import { fromFlat, toFlat } from '../../src/record/flat.ts';
import {
  MAX_RECORD_BYTES,
  parseJson,
  parseWith,
  RecordSchema,
  type StackRecord,
  samePlane,
} from '../../src/record/record.ts';
import { instanceName, type Lease, parseEntry, parseText, resourcesOf, textOf } from '../../src/sources/dns/entry.ts';
import { decodeAnswer, decodeUpdateAnswer, encodeQuery, encodeUpdate } from '../../src/sources/dns/message.ts';
import { sign, verify } from '../../src/sources/dns/tsig.ts';
import { encode as base64, recordKey } from '../../src/sources/etcd/keys.ts';
import { LineSplitter } from '../../src/sources/etcd/lines.ts';
import {
  AuthenticateSchema,
  GrantSchema,
  KeepAliveSchema,
  RangeSchema,
  TxnSchema,
  WatchSchema,
} from '../../src/sources/etcd/messages.ts';
import { EtcdTrouble } from '../../src/sources/etcd/trouble.ts';
import { View } from '../../src/sources/etcd/view.ts';
import { readMembers } from '../../src/sources/gossip/members.ts';
import { DECODER_LIMITS, HeaderSchema, JoinSchema, MembersSchema } from '../../src/sources/gossip/rpc-codec.ts';
import { readTags, recordTags } from '../../src/sources/gossip/tags.ts';
import { decodeMessage, encodeMessage } from '../../src/sources/multicast/message.ts';
import { record } from '../support/records.ts';
import { json, type Notation } from './mutate.ts';
import { checkWords, jsonText, type Target, text } from './target.ts';

const KEYS = { wg: 'a'.repeat(43).concat('=') };
const RECORDS = [
  record(2),
  record(3, { subnets: ['10.100.3.0/24', '10.200.0.0/16'], public_keys: KEYS }),
  record(4, { subnets: [] }),
];
const SELF = { stack_id: 'stack-a', instance: '00000000000000aa' };

/** What every accepted record holds, whatever transport it came by. */
export function checkRecord(accepted: StackRecord): void {
  assert.match(accepted.stack_id, /^[a-z0-9-]{1,63}$/);
  assert.ok(accepted.subnets.length <= 16 && accepted.vni >= 1 && accepted.vni <= 0xffffff);
  const again = parseJson(RecordSchema, JSON.stringify(accepted), 1e6);
  assert.ok(again.ok && samePlane(again.value, accepted), 'what was accepted is accepted again, unchanged');
}

const datagram: Target = {
  name: 'datagram',
  notation: json,
  samples: [
    ...RECORDS.map((one) => encodeMessage({ docker_router: 1, type: 'announce', interval_ms: 30_000, record: one })),
    encodeMessage({ docker_router: 1, type: 'query', ...SELF }),
    encodeMessage({ docker_router: 1, type: 'goodbye', ...SELF, boot: 1, seq: 2 }),
  ],
  run: (bytes) => {
    const decoded = decodeMessage(bytes);
    if (!decoded.ok) checkWords(decoded.error);
    else {
      assert.ok(bytes.length <= MAX_RECORD_BYTES);
      if (decoded.value.type === 'announce') checkRecord(decoded.value.record);
      assert.ok(decodeMessage(encodeMessage(decoded.value)).ok);
    }
    return decoded.ok;
  },
};

const recordJson: Target = {
  name: 'record',
  notation: json,
  samples: RECORDS.map(jsonText),
  run: (bytes) => {
    const parsed = parseJson(RecordSchema, bytes.toString(), MAX_RECORD_BYTES);
    if (!parsed.ok) checkWords(parsed.error);
    else {
      checkRecord(parsed.value);
      const flat = fromFlat(toFlat(parsed.value));
      assert.ok(flat.ok && samePlane(flat.value, parsed.value), 'the flat form says the same');
    }
    return parsed.ok;
  },
};

function pairsOf(bytes: Buffer): Record<string, string> {
  const value: unknown = JSON.parse(bytes.toString());
  const pairs = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return Object.fromEntries(pairs.map(([key, item]) => [key, typeof item === 'string' ? item : JSON.stringify(item)]));
}

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

const tags: Target = {
  name: 'serf-tags',
  notation: json,
  samples: RECORDS.map((one) => jsonText(toFlat(one))),
  run: (bytes) => {
    const flat = orNothing(() => pairsOf(bytes));
    if (!flat) return false;
    const parsed = readTags(flat);
    if (!parsed.ok) checkWords(parsed.error);
    else {
      checkRecord(parsed.value);
      const back = recordTags(parsed.value);
      if (!back.ok) checkWords(back.error);
    }
    return parsed.ok;
  },
};

const PREFIX = '/docker-router/discovery';
const KVS = RECORDS.map((one) => ({
  key: base64(recordKey(PREFIX, one.stack_id)),
  value: base64(JSON.stringify(one)),
  mod_revision: '7',
  lease: '12',
}));
const HEADER = { cluster_id: '14841639068965178418', member_id: '10276657743932975437', revision: '9', raft_term: '2' };
const ANSWERS = [
  { header: HEADER, kvs: KVS, count: '3' },
  { header: HEADER, succeeded: true, responses: [{ response_range: { header: HEADER, kvs: KVS } }] },
  { result: { header: HEADER, watch_id: '0', created: true } },
  {
    result: {
      header: HEADER,
      events: [{ kv: KVS[0] }, { type: 'DELETE', kv: { key: KVS[1]!.key } }, { type: 'PUT', kv: KVS[2] }],
    },
  },
  {
    result: {
      header: HEADER,
      canceled: true,
      compact_revision: '8',
      cancel_reason: 'mvcc: required revision has been compacted',
    },
  },
  { error: { grpc_code: 14, message: 'etcdserver: no leader' } },
  { header: HEADER, ID: '7587883212297104637', TTL: '30' },
  { result: { header: HEADER, ID: '7587883212297104637', TTL: '30' } },
  { header: HEADER, token: 'abc.12' },
];

const etcdAnswer: Target = {
  name: 'etcd-answer',
  notation: json,
  samples: ANSWERS.map(jsonText),
  run: (bytes) => {
    const view = new View(PREFIX, SELF);
    const body = bytes.toString();
    const range = parseJson(RangeSchema, body, 1e6);
    const txn = parseJson(TxnSchema, body, 1e6);
    const watch = parseJson(WatchSchema, body, 1e6);
    const kvs = [
      ...(range.ok ? range.value.kvs : []),
      ...(txn.ok ? txn.value.responses.flatMap((one) => one.response_range?.kvs ?? []) : []),
    ];
    const events = kvs.flatMap((kv) => view.put(kv));
    if (watch.ok && 'result' in watch.value)
      events.push(...watch.value.result.events.flatMap((event) => view.apply(event, 1000)));
    for (const event of events) {
      if (event.type === 'upsert') checkRecord(event.record);
      else if (event.type === 'dropped') checkWords(event.message);
    }
    for (const schema of [AuthenticateSchema, GrantSchema, KeepAliveSchema]) parseJson(schema, body, 1e6);
    return range.ok || txn.ok || watch.ok;
  },
};

const etcdStream: Target = {
  name: 'etcd-stream',
  samples: [text(`${ANSWERS.map((answer) => JSON.stringify(answer)).join('\n')}\n`), text('\n\n{}\n{}')],
  run: (bytes) => {
    const whole = new LineSplitter(2000);
    const pieces = new LineSplitter(2000);
    const size = 1 + ((bytes[0] ?? 0) % 97);
    try {
      const lines = whole.push(bytes);
      const cut: string[] = [];
      for (let at = 0; at < bytes.length; at += size) cut.push(...pieces.push(bytes.subarray(at, at + size)));
      assert.deepEqual(cut, lines, 'the same lines, however the stream is cut');
      return lines.length > 0;
    } catch (cause) {
      if (!(cause instanceof EtcdTrouble)) throw cause;
      return false;
    }
  },
};

const QUESTION = { id: 77, name: '_docker-router._udp.example', type: 'PTR' } as const;
const KEY = { name: 'key.example', algorithm: 'hmac-sha256', secret: Buffer.alloc(32, 7) } as const;
const LEASE: Lease = { seconds: 90, until: 1_700_000_090, renewals: 7 };
const ZONE = RECORDS.map((one) => resourcesOf(one, textOf(one, LEASE), 'example', 5));

const message = (answers: object[], question: object = QUESTION): Buffer =>
  packet.encode({ type: 'response', id: 77, flags: 1024, questions: [{ ...question, class: 'IN' }], answers } as never);

const dnsMessage: Target = {
  name: 'dns-message',
  samples: [
    message(ZONE.map(({ ptr }) => ptr)),
    message(
      ZONE.flatMap(({ own }) => [...own]),
      { name: instanceName('stack-2', 'example'), type: 'ANY' },
    ),
    message([
      {
        name: 'example',
        type: 'SOA',
        ttl: 5,
        data: { mname: 'ns.example', rname: 'root.example', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 1 },
      },
    ]),
    encodeQuery(QUESTION),
    sign(
      encodeUpdate({
        id: 77,
        zone: 'example',
        prerequisites: [{ is: 'unused', name: 'a.example' }],
        changes: [{ do: 'add', resource: ZONE[0]!.ptr }],
      }),
      KEY,
      1_700_000_000,
    ).bytes,
    sign(message(ZONE.map(({ ptr }) => ptr)), KEY, 1_700_000_000).bytes,
  ],
  run: (bytes) => {
    const answer = decodeAnswer(bytes, QUESTION);
    if (!answer.ok) checkWords(answer.error);
    const update = decodeUpdateAnswer(bytes, 77);
    if (!update.ok) checkWords(update.error);
    return answer.ok || update.ok;
  },
};

const REQUEST_MAC = Buffer.alloc(32, 9);
/** Its id is the length of the request's MAC, so that the bytes before it in the hash (RFC 8945 section 5.3.1) look like one, too. */
const PLAIN = message(ZONE.map(({ ptr }) => ptr));
PLAIN.writeUInt16BE(REQUEST_MAC.length, 0);

/** An answer as a server signs it: the request's MAC goes into the hash before the message. */
function signedAnswer(): Buffer {
  const before = Buffer.concat([Buffer.from([0, REQUEST_MAC.length]), REQUEST_MAC]);
  const bytes = sign(Buffer.concat([before, PLAIN]), KEY, 1_700_000_000).bytes.subarray(before.length);
  bytes.writeUInt16BE(1, 10);
  return Buffer.from(bytes);
}

const dnsTsig: Target = {
  name: 'dns-tsig',
  samples: [signedAnswer(), ...dnsMessage.samples.slice(4)],
  run: (bytes) => {
    const verified = verify(bytes, KEY, REQUEST_MAC);
    if (!verified.ok) checkWords(verified.error);
    else if (verified.value.serverSeconds !== undefined) {
      // The id is not signed (section 4.3.1), everything else of the message is; so are its end and the time.
      assert.deepEqual(bytes.subarray(2, 10), PLAIN.subarray(2, 10));
      assert.deepEqual(bytes.subarray(12, PLAIN.length), PLAIN.subarray(12));
      assert.equal(verified.value.serverSeconds, 1_700_000_000);
    } else assert.match(verified.value.error ?? '', /^BAD(SIG|KEY)$/);
    return verified.ok;
  },
};

const dnsEntry: Target = {
  name: 'dns-entry',
  samples: [
    ...RECORDS.map((one) => text(textOf(one, LEASE).map(String).join('\n'))),
    text('txtvers=1\nvni=1000\nnet=10.9.0.0/24\ngw=10.9.0.2'),
  ],
  run: (bytes) => {
    const strings = bytes
      .toString('latin1')
      .split('\n')
      .map((one) => Buffer.from(one, 'latin1'));
    const flat = parseText(strings);
    if (!flat.ok) checkWords(flat.error);
    const srv = { priority: 0, weight: 0, port: (bytes[3] ?? 0) * 300, target: 'stack-2.docker-router.example' };
    const entry = parseEntry('stack-2', { text: strings, srv, address: '192.168.0.2' });
    if (!entry.ok) checkWords(entry.error);
    else {
      checkRecord(entry.value.record);
      assert.ok(entry.value.lease === undefined || entry.value.lease.seconds <= 86_400);
    }
    return entry.ok;
  },
};

const MEMBERS = RECORDS.map((one, index) => ({
  Name: `m${index}`,
  Addr: Buffer.from([192, 168, 0, index + 1]),
  Port: 7946,
  Tags: toFlat(one),
  Status: index === 2 ? 'left' : 'alive',
}));
const rpc: Notation = {
  read: (bytes) => [...decodeMulti(bytes, DECODER_LIMITS)],
  write: (value) => Buffer.concat((Array.isArray(value) ? value : [value]).map((item) => encode(item))),
};

const serfRpc: Target = {
  name: 'serf-rpc',
  notation: rpc,
  samples: [
    rpc.write([{ Seq: 1, Error: '' }, { Members: MEMBERS }]),
    rpc.write([{ Seq: 2, Error: 'no' }, { Num: 3 }]),
    rpc.write([{ Seq: 0, Error: '' }, { Members: null }]),
  ],
  run: (bytes) => {
    // The library throws for what is not MessagePack, and rpc.ts ends the connection then.
    const items = orNothing(() => [...decodeMulti(bytes, DECODER_LIMITS)]) ?? [];
    let accepted = false;
    for (const item of items) {
      for (const schema of [HeaderSchema, JoinSchema]) {
        const parsed = parseWith(schema, item);
        if (!parsed.ok) checkWords(parsed.error);
      }
      const list = parseWith(MembersSchema, item);
      if (!list.ok) continue;
      const view = readMembers(list.value.Members ?? [], SELF, readTags);
      for (const { record: one } of view.stacks.values()) checkRecord(one);
      for (const { problem } of view.strangers) checkWords(problem);
      accepted ||= view.stacks.size > 0;
    }
    return accepted;
  },
};

export const networkTargets: readonly Target[] = [
  datagram,
  recordJson,
  tags,
  etcdAnswer,
  etcdStream,
  dnsMessage,
  dnsTsig,
  dnsEntry,
  serfRpc,
];
