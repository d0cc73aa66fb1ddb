import assert from 'node:assert/strict';
import { test } from 'node:test';
import packet from 'dns-packet';
import fc from 'fast-check';
import { decodeAnswer, decodeUpdateAnswer, encodeQuery, encodeUpdate } from '../../src/sources/dns/message.ts';

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ''), 'hex');
const DOMAIN = '06 646f636b6572 07 6578616d706c65 00';
const A_DOMAIN = `01 61 ${DOMAIN}`;

test('an update is what nsupdate of BIND 9.18 sends, with the compressed names written out', () => {
  const bytes = encodeUpdate({
    id: 0x4902,
    zone: 'docker.example',
    prerequisites: [{ is: 'unused', name: 'a.docker.example' }],
    changes: [
      { do: 'delete all', name: 'a.docker.example', type: 'ANY' },
      {
        do: 'add',
        resource: { name: 'a.docker.example', ttl: 5, type: 'TXT', data: [Buffer.from('vni=1'), Buffer.from('x=y')] },
      },
      { do: 'delete', resource: { name: 'docker.example', ttl: 5, type: 'PTR', data: 'a.docker.example' } },
    ],
  });
  const expected = hex(`4902 2800 0001 0001 0003 0000  ${DOMAIN} 0006 0001
    ${A_DOMAIN} 00ff 00fe 00000000 0000
    ${A_DOMAIN} 00ff 00ff 00000000 0000
    ${A_DOMAIN} 0010 0001 00000005 000a 05 766e693d31 03 783d79
    ${DOMAIN} 000c 00fe 00000000 0012 ${A_DOMAIN}`);
  assert.equal(bytes.toString('hex'), expected.toString('hex'));
});

test('a prerequisite names the exact text, record by record', () => {
  const records = [[Buffer.from('a')], [Buffer.from('b'), Buffer.from('c')]];
  const update = {
    id: 1,
    zone: 'docker.example',
    prerequisites: [{ is: 'text', name: 'a.docker.example', records }],
    changes: [],
  } as const;
  const expected = hex(`0001 2800 0001 0002 0000 0000  ${DOMAIN} 0006 0001
    ${A_DOMAIN} 0010 0001 00000000 0002 01 61
    ${A_DOMAIN} 0010 0001 00000000 0004 01 62 01 63`);
  assert.equal(encodeUpdate(update).toString('hex'), expected.toString('hex'));
  assert.deepEqual(records, [[Buffer.from('a')], [Buffer.from('b'), Buffer.from('c')]]);
});

test('a query asks for recursion and offers 1232 bytes', () => {
  const bytes = encodeQuery({ id: 7, name: 'docker.example', type: 'PTR' });
  const expected = hex(`0007 0100 0001 0000 0000 0001  ${DOMAIN} 000c 0001  00 0029 04d0 00 00 0000 0000`);
  assert.equal(bytes.toString('hex'), expected.toString('hex'));
});

const QUESTION = { id: 9, name: 'docker.example', type: 'SRV' } as const;

function answer(changes: Record<string, unknown> = {}): Buffer {
  return packet.encode({
    type: 'response',
    id: QUESTION.id,
    flags: 0x0400,
    questions: [{ name: 'Docker.Example', type: 'SRV', class: 'IN' }],
    answers: [
      {
        name: 'DOCKER.example',
        type: 'SRV',
        ttl: 5,
        data: { priority: 0, weight: 0, port: 4789, target: 'A.example' },
      },
    ],
    additionals: [{ name: 'a.EXAMPLE', type: 'A', ttl: 5, data: '10.0.0.1' }],
    ...changes,
  } as Parameters<typeof packet.encode>[0]);
}

test('names are compared without case', () => {
  const read = decodeAnswer(answer(), QUESTION);
  assert.ok(read.ok);
  assert.deepEqual(read.value.answers, [
    { name: 'docker.example', ttl: 5, type: 'SRV', data: { priority: 0, weight: 0, port: 4789, target: 'a.example' } },
  ]);
  assert.deepEqual(read.value.additionals, [{ name: 'a.example', ttl: 5, type: 'A', data: '10.0.0.1' }]);
  assert.deepEqual([read.value.authoritative, read.value.truncated, read.value.referral], [true, false, false]);
});

test('an answer to something else is none', () => {
  const question = { name: 'docker.example', type: 'SRV', class: 'IN' };
  const others = [
    answer({ id: 10 }),
    answer({ type: 'query' }),
    answer({ flags: 0x2800 }),
    answer({ questions: [{ ...question, name: 'other.example' }] }),
    answer({ questions: [{ ...question, type: 'TXT' }] }),
    answer({ questions: [] }),
  ];
  for (const [n, bytes] of others.entries()) assert.equal(decodeAnswer(bytes, QUESTION).ok, false, `answer ${n}`);
});

test('records of another class or type are left out', () => {
  const answers = [
    { name: 'docker.example', type: 'TXT', class: 'CH', ttl: 5, data: ['x'] },
    { name: 'docker.example', type: 'AAAA', ttl: 5, data: '::1' },
  ];
  const read = decodeAnswer(answer({ answers }), QUESTION);
  assert.ok(read.ok && read.value.answers.length === 0);
});

test('a referral is told from "nothing there"', () => {
  const ns = { name: 'example', type: 'NS', ttl: 5, data: 'ns.example' };
  const soa = { name: 'example', type: 'SOA', ttl: 5, data: { mname: 'ns.example', rname: 'root.example', serial: 1 } };
  const read = (changes: Record<string, unknown>) => {
    const parsed = decodeAnswer(answer({ answers: [], flags: 0, ...changes }), QUESTION);
    assert.ok(parsed.ok);
    return parsed.value;
  };
  assert.equal(read({ authorities: [ns] }).referral, true);
  assert.equal(read({ authorities: [ns, soa] }).referral, false);
  assert.equal(read({ authorities: [ns], flags: 0x0400 }).referral, false);
  assert.equal(read({ authorities: [soa] }).zone, 'example');
  assert.equal(read({}).zone, undefined);
});

test('no bytes whatever make the decoders throw', () => {
  const good = [answer(), encodeQuery(QUESTION)];
  const flipped = fc
    .tuple(fc.constantFrom(...good), fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 8 }), fc.nat(200))
    .map(([bytes, flips, length]) => {
      const copy = Buffer.from(bytes);
      for (const [at, value] of flips) copy[at % copy.length] = value;
      return copy.subarray(0, Math.max(1, copy.length - (length > 100 ? length - 100 : 0)));
    });
  const any = fc.oneof(
    flipped,
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  );
  fc.assert(
    fc.property(any, (bytes) => {
      decodeAnswer(bytes, QUESTION);
      decodeUpdateAnswer(bytes, 9);
    }),
    { numRuns: 2000 },
  );
});
