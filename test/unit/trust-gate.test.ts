import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { fromFlat, toFlat } from '../../src/record/flat.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { MAX_TAG_BYTES, readTags, recordTags, tagBytes } from '../../src/sources/gossip/tags.ts';
import { decodeMessage, encodeMessage, type Message } from '../../src/sources/multicast/message.ts';
import { packFlat, unpackFlat } from '../../src/trust/compact.ts';
import type { Envelope } from '../../src/trust/envelope.ts';
import { isEnvelope, purposeOf } from '../../src/trust/envelope.ts';
import { readRecordText, recordText } from '../../src/trust/record-text.ts';
import { anyRecord } from '../support/any-record.ts';
import { record } from '../support/records.ts';
import { gate, HandClock, key, newIdentity } from '../support/trust.ts';

const announce = (one: StackRecord): Message => ({
  docker_router: 1,
  type: 'announce',
  interval_ms: 30_000,
  record: one,
});
const B = record(2, { stack_id: 'stack-b' });
const send = (from: Envelope, one = B) => encodeMessage(announce(one), from);
const outcome = (datagram: Buffer, at: Envelope) => {
  const decoded = decodeMessage(datagram, at);
  return decoded.ok ? 'accepted' : decoded.kind;
};

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'trust-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('the compact form brings back every record, and takes a third of the text', () => {
  fc.assert(
    fc.property(anyRecord, (any) => {
      const flat = unpackFlat(packFlat(toFlat(any)));
      assert.ok(flat.ok);
      assert.deepEqual(fromFlat(flat.value), { ok: true, value: any });
    }),
  );
  fc.assert(
    fc.property(
      fc.dictionary(fc.stringMatching(/^[a-z0-9._]{1,40}$/), fc.string(), { noNullPrototype: true }),
      (flat) => {
        const back = unpackFlat(packFlat(flat));
        assert.ok(back.ok);
        for (const [name, value] of Object.entries(back.value))
          assert.equal(value, Buffer.from(flat[name]!).toString());
      },
    ),
  );
  assert.ok(packFlat(toFlat(B)).length < 90, String(packFlat(toFlat(B)).length));
});

test('no bytes whatever make the compact reader throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void unpackFlat(Buffer.from(bytes))));
});

test('every message passes between two of a group, and every record in every form of text', () => {
  const [a, b] = [gate('stack-a'), gate('stack-b')];
  const messages: Message[] = [
    announce(B),
    { docker_router: 1, type: 'query', stack_id: 'stack-b', instance: B.instance },
    { docker_router: 1, type: 'goodbye', stack_id: 'stack-b', instance: B.instance, boot: B.boot, seq: B.seq },
  ];
  for (const message of messages)
    assert.deepEqual(decodeMessage(encodeMessage(message, b), a), { ok: true, value: message });
  assert.deepEqual(readRecordText('etcd', recordText('etcd', B, b), a), { ok: true, value: B });
  const tags = recordTags(B, b);
  assert.ok(tags.ok);
  assert.deepEqual(readTags(tags.value, a), { ok: true, value: B });
  assert.equal(recordText('etcd', B, b), recordText('etcd', B, b), 'one record is closed once');
});

test('a stack with a long id, 16 subnets and its WireGuard keys fits the 512 bytes of gossip', () => {
  const subnets = Array.from({ length: 16 }, (_, i) => `172.${16 + i}.100.0/24`);
  const large = record(1, {
    stack_id: 'an-application-with-a-long-name',
    subnets,
    gateway_ip: '172.16.100.2',
    wg_public_key: Buffer.alloc(32, 7).toString('base64'),
    wg_port: 51_821,
    wg_slot: 1,
    wg_other_public_key: Buffer.alloc(32, 9).toString('base64'),
    wg_other_port: 51_820,
  });
  const tags = recordTags(large, gate(large.stack_id));
  assert.ok(tags.ok, JSON.stringify(tags));
  assert.ok(tagBytes(tags.value) <= MAX_TAG_BYTES);
});

test('with keys nothing of the record can be read', () => {
  const b = gate('stack-b');
  const sent = [
    send(b),
    Buffer.from(recordText('etcd', B, b)),
    Buffer.from(recordText('etcd', B, b).slice(4), 'base64url'),
  ];
  const fields = Object.values(toFlat(B)).filter((text) => text.length > 3);
  for (const bytes of sent)
    for (const field of [...fields, B.vtep_mac!, 'stack-b'])
      assert.ok(!bytes.includes(field) && !bytes.includes(packFlat({ x: field }).subarray(4)), field);
  assert.ok(send(gate('stack-b', { keys: [] })).includes('stack-b'), 'without keys it can');
});

test('what is not sealed, sealed with another key, or of a stack without keys is told apart', () => {
  const [a, b] = [gate('stack-a'), gate('stack-b')];
  assert.equal(outcome(encodeMessage(announce(B)), a), 'not sealed');
  assert.equal(outcome(send(gate('stack-b', { keys: [] })), a), 'not sealed');
  assert.equal(outcome(send(gate('stack-b', { keys: [key(2)] })), a), 'sealed with another key');
  const alone = decodeMessage(send(b));
  assert.ok(!alone.ok && /DISCOVERY_KEYS/.test(alone.error));
});

test('keys change without a gap: OLD; OLD,NEW; NEW,OLD; NEW', () => {
  const [a, b] = [gate('stack-a'), gate('stack-b')];
  const rings = [[key(1)], [key(1), key(2)], [key(2), key(1)], [key(2)]];
  for (const ring of rings) {
    // One after the other, as a person does it.
    for (const one of [a, b]) {
      one.useKeys(ring);
      assert.equal(outcome(send(b), a), 'accepted');
      assert.equal(outcome(send(a, record(1, { stack_id: 'stack-a' })), b), 'accepted');
    }
  }
  assert.equal(outcome(send(gate('stack-c'), record(3, { stack_id: 'stack-c' })), a), 'sealed with another key');
});

test('a stack id belongs to the first identity seen, also after a restart, until it is forgotten', (t) => {
  const dir = folder(t);
  const [b, impostor] = [gate('stack-b'), gate('stack-b')];
  const first = gate('stack-a', { identityDir: dir });
  assert.equal(outcome(send(b), first), 'accepted');
  assert.equal(outcome(send(impostor), first), 'other identity');
  first.stop();

  const again = gate('stack-a', { identityDir: dir });
  const refused = decodeMessage(send(impostor), again);
  const fingerprints = [b, impostor].map(fingerprintOf);
  assert.ok(!refused.ok && fingerprints.every((text) => refused.error.includes(text)), JSON.stringify(refused));
  const [row] = again.refused(0);
  assert.equal(row?.record.stack_id, 'stack-b');
  assert.notEqual(row?.record.instance, B.instance, 'a row beside the real one');
  assert.equal(outcome(send(gate('stack-b', { identity: undefined })), again), 'other identity', 'without a signature');

  const operator = gate('stack-x', { identityDir: dir }).bindings;
  assert.ok(operator.forget('stack-b') && !operator.forget('stack-b'));
  again.refresh();
  assert.equal(outcome(send(impostor), again), 'accepted');
  assert.ok(!again.refused(0).some(({ record: { instance } }) => instance === row?.record.instance));
  assert.equal(outcome(send(b), again), 'other identity');
});

test('TRUSTED_PEERS: nobody else is believed, not even the first', () => {
  const [trusted, other] = [newIdentity(), newIdentity()];
  const a = gate('stack-a', { trustedPeers: new Map([['stack-b', trusted.fingerprint]]) });
  assert.equal(outcome(send(gate('stack-b', { identity: other })), a), 'other identity');
  assert.equal(outcome(send(gate('stack-b', { identity: trusted })), a), 'accepted');
  assert.equal(outcome(send(gate('stack-c'), record(3, { stack_id: 'stack-c' })), a), 'not trusted');
});

test('a member cannot speak for another: not under its id, not under its own id with its own identity', () => {
  const a = gate('stack-a');
  assert.equal(outcome(send(gate('stack-b')), a), 'accepted');
  // Its envelope names stack-m as the sender, its record stack-b.
  assert.equal(outcome(send(gate('stack-m')), a), 'forged');
  // A goodbye for another.
  const goodbye: Message = {
    docker_router: 1,
    type: 'goodbye',
    stack_id: 'stack-b',
    instance: B.instance,
    boot: B.boot,
    seq: 9,
  };
  assert.equal(outcome(encodeMessage(goodbye, gate('stack-b')), a), 'other identity');
  assert.equal(
    outcome(send(gate('stack-a'), record(1, { stack_id: 'stack-a' })), a),
    'other identity',
    "the receiver's own id",
  );
});

test('an announcement is no goodbye, and no record for etcd', () => {
  const [a, b] = [gate('stack-a'), gate('stack-b')];
  const datagram = send(b);
  for (let purpose = 1; purpose <= 6; purpose += 1) {
    const changed = Buffer.from(datagram);
    changed[3] = purpose;
    if (purposeOf(changed) === 'announce') continue;
    const opened = a.open(purposeOf(changed)!, changed);
    assert.ok(!opened.ok && opened.kind === 'forged', JSON.stringify(opened));
  }
  assert.ok(!a.open('etcd', datagram).ok);
});

test('a clock that went back does not make a restarted stack unheard, also without a volume for its identity', () => {
  const a = gate('stack-a');
  const early = new HandClock(new HandClock().wall() - 60_000);
  assert.equal(
    outcome(send(gate('stack-b', { identity: undefined }), { ...B, boot: new HandClock().wall() }), a),
    'accepted',
  );
  const again = gate('stack-b', { identity: undefined, clock: early });
  assert.equal(outcome(send(again, { ...B, boot: new HandClock().wall() + 1 }), a), 'accepted');
});

test('a record that lies somewhere may be read again, an older one not; nor in an hour and more', () => {
  const clock = new HandClock();
  const [a, b] = [gate('stack-a', { clock }), gate('stack-b', { clock })];
  const [old, next] = [recordText('etcd', { ...B }, b), recordText('etcd', { ...B, seq: 2 }, b)];
  const read = (text: string) => {
    const parsed = readRecordText('etcd', text, a);
    return parsed.ok ? parsed.value.seq : parsed.kind;
  };
  assert.deepEqual([read(old), read(old), read(next), read(next), read(old)], [1, 1, 2, 2, 'replayed']);
  clock.advance(3_600_000 + 300_001);
  assert.equal(read(next), 'out of time');
});

test('a clock that is off is named, in either direction, and CLOCK_TOLERANCE moves the bound', () => {
  const now = new HandClock();
  for (const offset of [-600_000, 600_000]) {
    const b = gate('stack-b', { clock: new HandClock(now.wall() + offset) });
    const a = gate('stack-a', { clock: now });
    const decoded = decodeMessage(send(b), a);
    assert.ok(!decoded.ok && /10 min.*NTP/.test(decoded.error), JSON.stringify(decoded));
    assert.equal(a.refused(0)[0]?.record.stack_id, 'stack-b', 'shown as rejected');
    assert.equal(outcome(send(b), gate('stack-a', { clock: now, clockToleranceMs: 900_000 })), 'accepted');
  }
});

test('signed but not sealed: two with identities believe each other, one without trust is not heard, an impostor is refused', () => {
  const options = { keys: [] };
  const [a, b] = [gate('stack-a', options), gate('stack-b', options)];
  const datagram = send(b);
  assert.ok(isEnvelope(datagram) && datagram.includes('stack-b'), 'readable');
  assert.equal(outcome(datagram, a), 'accepted');
  assert.equal(outcome(encodeMessage(announce(B)), a), 'other identity', 'in clear, though the id is bound');
  assert.equal(outcome(encodeMessage(announce(record(3))), a), 'accepted', 'in clear, and nobody is bound to the id');
  for (let at = 17; at < datagram.length; at += 1) {
    const changed = Buffer.from(send(b));
    changed[at]! ^= 1;
    assert.notEqual(outcome(changed, a), 'accepted', `byte ${at}`);
  }
});

function fingerprintOf(one: Envelope): string {
  const at = gate('stack-x');
  assert.equal(outcome(send(one), at), 'accepted');
  return at.bindings.all.get('stack-b')!.fingerprint;
}
