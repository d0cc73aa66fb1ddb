import assert from 'node:assert/strict';
import { test } from 'node:test';
import packet from 'dns-packet';
import fc from 'fast-check';
import { readRouterConfig } from '../../src/config/router-config.ts';
import { Allowance } from '../../src/names/allowance.ts';
import { Directory, isInside } from '../../src/names/directory.ts';
import { shuffled } from '../../src/names/found.ts';
import {
  answersQuery,
  decodeQuery,
  decodeReply,
  encodeAnswer,
  encodeQuestion,
  encodeRefusal,
  type Query,
  withId,
} from '../../src/names/message.ts';
import { reverseName, serviceCandidates, targetOf } from '../../src/names/name.ts';
import { parseResolvConf } from '../../src/names/outside.ts';

test('names: a service of a stack, a stack, an address, and what is not ours', () => {
  assert.deepEqual(targetOf('web.stack-b.internal', 'internal'), { kind: 'service', service: 'web', stack: 'stack-b' });
  assert.deepEqual(targetOf('my_db.b.docker.lan', 'docker.lan'), { kind: 'service', service: 'my_db', stack: 'b' });
  assert.deepEqual(targetOf('web.stack-b', ''), { kind: 'service', service: 'web', stack: 'stack-b' });
  assert.deepEqual(targetOf('stack-b.internal', 'internal'), { kind: 'stack', stack: 'stack-b' });
  assert.deepEqual(targetOf('4.0.31.172.in-addr.arpa', 'internal'), { kind: 'address', address: '172.31.0.4' });
  for (const other of [
    'internal',
    'example.org',
    'webinternal',
    'a.web.stack-b.internal',
    '.stack-b.internal',
    'w*b.stack-b.internal',
    '0.31.172.in-addr.arpa',
    '4.0.31.999.in-addr.arpa',
    '04.0.31.172.in-addr.arpa',
    `${'x'.repeat(64)}.stack-b.internal`,
    '',
    '.',
  ])
    assert.deepEqual(targetOf(other, 'internal'), { kind: 'other' }, other);
});

test('the name of an address leads to the service of Compose, or to the container', () => {
  assert.equal(reverseName('172.31.0.4'), '4.0.31.172.in-addr.arpa');
  assert.deepEqual(serviceCandidates('stack-b-web-1.stack-b_default'), ['web', 'stack-b-web-1']);
  assert.deepEqual(serviceCandidates('stack-b-my-web-12.stack-b_default'), ['my-web', 'stack-b-my-web-12']);
  assert.deepEqual(serviceCandidates('db.mynet'), ['db']);
  assert.deepEqual(serviceCandidates(''), []);
});

test('NAMES_DOMAIN: lower case, no dot at the end; nonsense is named', () => {
  assert.equal(readRouterConfig({ NAMES_DOMAIN: 'Docker.LAN.' }).namesDomain, 'docker.lan');
  assert.equal(readRouterConfig({}).namesDomain, 'internal');
  assert.equal(readRouterConfig({ NAMES: 'off' }).namesDomain, undefined);
  for (const bad of ['a..b', '-a', 'in-addr.arpa', 'x y', 'a_b', `${'x'.repeat(64)}`])
    assert.throws(() => readRouterConfig({ NAMES_DOMAIN: bad }), /NAMES_DOMAIN must be a domain/, bad);
});

const B = { stack_id: 'stack-b', subnets: ['172.31.0.0/24'], gateway_ip: '172.31.0.2' };
const DIRECTORY = new Directory(
  {
    self: { stack_id: 'stack-a', subnets: ['172.30.0.0/24'], gateway_ip: '172.30.0.2' },
    peers: [B, { stack_id: 'no-plane', subnets: [] }],
  },
  ['172.30.0.3', '127.0.0.1'],
);

test('who may ask: the stack, the router itself, the routers of others, nobody else', () => {
  assert.deepEqual(DIRECTORY.asker('172.30.0.9'), { kind: 'stack' });
  assert.deepEqual(DIRECTORY.asker('172.30.0.2'), { kind: 'self' });
  assert.deepEqual(DIRECTORY.asker('172.30.0.3'), { kind: 'self' });
  assert.deepEqual(DIRECTORY.asker('172.31.0.2'), { kind: 'peer', peer: B });
  for (const stranger of ['172.31.0.9', '10.77.0.1', '8.8.8.8', '::1', '', '172.30.1.9'])
    assert.equal(DIRECTORY.asker(stranger), undefined, stranger);
  assert.equal(DIRECTORY.peerAt('172.31.0.77')?.stack_id, 'stack-b');
  assert.equal(DIRECTORY.peerAt('172.32.0.77'), undefined);
  assert.equal(isInside(B, '172.31.0.255'), true);
  assert.equal(isInside(B, '172.31.1.0'), false);
});

const question = (fields: object = {}) =>
  packet.encode({
    type: 'query',
    id: 7,
    flags: 0x0100,
    questions: [{ name: 'Web.Stack-B.internal', type: 'A', class: 'IN' }],
    ...fields,
  } as Parameters<typeof packet.encode>[0]);

test('a query is read with its letters kept, and refused with the code that fits', () => {
  const query = decodeQuery(question()) as Query;
  assert.deepEqual(query, {
    id: 7,
    name: 'web.stack-b.internal',
    asked: 'Web.Stack-B.internal',
    type: 'A',
    recursion: true,
    udpLimit: 512,
    edns: false,
  });
  const edns = { additionals: [{ name: '.', type: 'OPT', udpPayloadSize: 4096, options: [] }] };
  assert.equal((decodeQuery(question(edns)) as Query).udpLimit, 1232);
  assert.equal(decodeQuery(question({ type: 'response' })), undefined, 'an answer is no query: no answer to an answer');
  assert.equal(decodeQuery(Buffer.alloc(11)), undefined);
  assert.equal(decodeQuery(question({ questions: [] })), 'FORMERR');
  assert.equal(decodeQuery(question({ flags: 5 << 11 })), 'NOTIMP');
  assert.equal(decodeQuery(Buffer.concat([question(), Buffer.alloc(1300)])), 'FORMERR');
  assert.equal(decodeQuery(question({ questions: [{ name: 'x', type: 'A', class: 'CH' }] })), 'REFUSED');
  assert.equal(packet.decode(encodeRefusal(question(), 'FORMERR')).rcode, 'FORMERR');
});

test('an answer carries all addresses; what does not fit is truncated', () => {
  const query = decodeQuery(question()) as Query;
  const answers = (n: number) => Array.from({ length: n }, (_, i) => ({ type: 'A' as const, data: `172.31.0.${i}` }));
  const some = packet.decode(encodeAnswer(query, 'NOERROR', answers(3), 512));
  assert.deepEqual(
    some.answers.map(({ data, ttl }) => [data, ttl]),
    [0, 1, 2].map((i) => [`172.31.0.${i}`, 1]),
  );
  assert.equal(some.questions[0]!.name, 'Web.Stack-B.internal');
  const many = encodeAnswer(query, 'NOERROR', answers(100), 512);
  assert.ok(many.length <= 512);
  assert.equal(packet.decode(many).flag_tc, true);
  assert.equal(packet.decode(encodeAnswer(query, 'NOERROR', answers(100), 65_535)).answers.length, 100);
});

test('a reply counts only for the question that was asked', () => {
  const asked = { id: 9, name: 'web.stack-b', type: 'A' };
  const sent = encodeQuestion(asked);
  const reply = encodeAnswer(decodeQuery(sent) as Query, 'NOERROR', [{ type: 'A', data: '172.31.0.4' }], 512);
  assert.deepEqual(decodeReply(reply, asked), {
    ok: true,
    value: { rcode: 'NOERROR', truncated: false, answers: [{ type: 'A', data: '172.31.0.4' }] },
  });
  for (const other of [{ id: 10 }, { name: 'db.stack-b' }, { type: 'AAAA' }])
    assert.equal(decodeReply(reply, { ...asked, ...other }).ok, false);
  assert.equal(decodeReply(sent, asked).ok, false, 'a question is no answer');
  assert.equal(answersQuery(reply, sent), true);
  assert.equal(answersQuery(withId(reply, 10), sent), false);
  assert.equal(answersQuery(sent, sent), false);
  assert.equal(answersQuery(reply, encodeQuestion({ ...asked, name: 'WEB.stack-b' })), false, 'letter by letter');
});

test('whatever the bytes: a value or an error, never a throw', () => {
  const base = question();
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 1400 }).map((data) => Buffer.from(data)),
    // Close to a real message: some of its bytes replaced, its end cut.
    fc
      .tuple(fc.array(fc.tuple(fc.nat(base.length - 1), fc.nat(255)), { maxLength: 6 }), fc.nat(base.length))
      .map(([changes, end]) => {
        const copy = Buffer.from(base);
        for (const [at, value] of changes) copy[at] = value;
        return copy.subarray(0, end);
      }),
  );
  fc.assert(
    fc.property(bytes, (data) => {
      const query = decodeQuery(data);
      if (typeof query === 'string') assert.ok(encodeRefusal(data, query).length === 12);
      else if (query) targetOf(query.name, 'internal');
      decodeReply(data, { id: 7, name: 'web.stack-b.internal', type: 'A' });
      answersQuery(data, base);
      if (data.length >= 12) answersQuery(base, data);
    }),
    { numRuns: 3000 },
  );
});

test('resolv.conf: at most three servers, nothing else', () => {
  const text =
    '# nameserver 9.9.9.9\nsearch x\nnameserver 127.0.0.11\n nameserver fe80::1\nnameserver x\nnameserver 1.1.1.1\nnameserver 2.2.2.2\n';
  assert.deepEqual(
    parseResolvConf(text).map(({ address }) => address),
    ['127.0.0.11', 'fe80::1', '1.1.1.1'],
  );
});

test('a client that asks too much waits, the others do not; the memory of clients is bounded', () => {
  const allowance = new Allowance();
  let allowed = 0;
  for (let i = 0; i < 10_000; i += 1) if (allowance.takes('172.30.0.9', 0)) allowed += 1;
  assert.equal(allowed, 2000);
  assert.equal(allowance.takes('172.30.0.8', 0), true);
  assert.equal(allowance.takes('172.30.0.9', 1000), true);
});

test('every order of the addresses comes up', () => {
  const orders = new Set(Array.from({ length: 500 }, () => shuffled([1, 2, 3]).join()));
  assert.equal(orders.size, 6);
});
