/** What services, other stacks' routers and resolvers send to the router's name server. */
import assert from 'node:assert/strict';
import packet from 'dns-packet';
import {
  answersQuery,
  decodeQuery,
  decodeReply,
  encodeAnswer,
  encodeQuestion,
  encodeRefusal,
  MAX_QUERY_BYTES,
} from '../../src/names/message.ts';
import { serviceCandidates, targetOf } from '../../src/names/name.ts';
import { checkWords, type Target } from './target.ts';

const ASKED = { id: 77, name: 'web.stack-b', type: 'A' };
const SENT = encodeQuestion(ASKED);
const response = (answers: object[]): Buffer =>
  packet.encode({ type: 'response', id: 77, flags: 0x8180, questions: [{ ...ASKED, class: 'IN' }], answers } as never);

const query: Target = {
  name: 'names-query',
  samples: [
    SENT,
    encodeQuestion({ id: 1, name: 'WEB.stack-b.internal', type: 'AAAA' }),
    encodeQuestion({ id: 2, name: '4.0.31.172.in-addr.arpa', type: 'PTR' }),
    packet.encode({ type: 'query', id: 3, flags: 0, questions: [{ name: 'example.org', type: 'MX', class: 'IN' }] }),
  ],
  run: (bytes) => {
    const read = decodeQuery(bytes);
    if (read === undefined) return false;
    if (typeof read === 'string') {
      assert.equal(encodeRefusal(bytes, read).length, 12);
      return false;
    }
    assert.ok(bytes.length <= MAX_QUERY_BYTES);
    const target = targetOf(read.name, 'internal');
    // Of a name that is ours, an answer can always be made: what is in it has passed the pattern of a label.
    if (target.kind === 'service') {
      assert.match(`${target.service}.${target.stack}`, /^[a-z0-9_-]{1,63}\.[a-z0-9-]{1,63}$/);
      assert.ok(encodeAnswer(read, 'NOERROR', [{ type: 'A', data: '172.31.0.4' }], read.udpLimit).length <= 1232);
    }
    return true;
  },
};

const reply: Target = {
  name: 'names-reply',
  samples: [
    response([{ name: ASKED.name, type: 'A', ttl: 1, class: 'IN', data: '172.31.0.4' }]),
    response([{ name: ASKED.name, type: 'PTR', ttl: 1, class: 'IN', data: 'stack-b-web-1.stack-b_default' }]),
    SENT,
  ],
  run: (bytes) => {
    const read = decodeReply(bytes, ASKED);
    if (answersQuery(bytes, SENT)) assert.equal(bytes.readUInt16BE(0), 77);
    if (!read.ok) {
      checkWords(read.error);
      return false;
    }
    for (const { data } of read.value.answers)
      for (const name of serviceCandidates(data)) assert.match(name, /^[a-z0-9_-]{1,63}$/);
    return true;
  },
};

export const namesTargets: readonly Target[] = [query, reply];
