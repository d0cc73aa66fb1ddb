import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Outlook, TRANSIENT_MS } from '../../src/sources/etcd/outlook.ts';
import { Recollection } from '../../src/sources/etcd/recollection.ts';
import { answerTimeout, backoff, renewInterval } from '../../src/sources/etcd/timing.ts';
import { connectionTrouble, EtcdTrouble, refusal } from '../../src/sources/etcd/trouble.ts';

const gone = new EtcdTrouble('unreachable', 'gone');

describe('outlook', () => {
  test('one failed endpoint of several is not worth a word; all of them are, each by name', () => {
    const outlook = new Outlook(['a', 'b']);
    assert.equal(outlook.failed('a', gone, 0), undefined);
    assert.equal(outlook.failed('a', gone, 1), undefined);
    assert.equal(outlook.failed('b', new EtcdTrouble('tls', 'no'), 2), 'a: gone; b: no');
    assert.equal(outlook.failed('b', gone, 3), 'a, b: gone');
  });

  test('what worked may be away for a moment', () => {
    const outlook = new Outlook(['a']);
    outlook.worked(0);
    assert.equal(outlook.failed('a', gone, TRANSIENT_MS - 1), undefined);
    assert.equal(outlook.failed('a', gone, TRANSIENT_MS), 'a: gone');
  });

  test('what never worked, or is no passing matter, is said at once', () => {
    assert.equal(new Outlook(['a']).failed('a', gone, 0), 'a: gone');
    const outlook = new Outlook(['a', 'b', 'c']);
    outlook.worked(0);
    assert.equal(outlook.failed('b', new EtcdTrouble('login', 'wrong password'), 1), 'wrong password');
  });

  test('one member that refuses what the others do is left behind without a word', () => {
    const outlook = new Outlook(['a', 'b']);
    assert.equal(outlook.failed('a', new EtcdTrouble('refused', 'corrupt'), 0), undefined);
    assert.equal(outlook.failed('b', gone, 1), 'a: corrupt; b: gone');
  });

  test('a failure from before it worked is forgotten', () => {
    const outlook = new Outlook(['a', 'b']);
    outlook.failed('a', gone, 0);
    outlook.worked(1);
    assert.equal(outlook.failed('b', gone, 1 + TRANSIENT_MS), undefined);
  });
});

describe('recollection', () => {
  test('a store that goes on is nothing special', () => {
    const memory = new Recollection();
    memory.begin('1', 5, 1000, 100);
    memory.heard(9, 1010);
    memory.begin('1', 9, 1060, 100);
    assert.equal(memory.grace(1060), 0);
  });

  test('one that went back, is another one, or was away for half a lease, leaves the others a lease time to come back', () => {
    for (const [cluster, revision, at] of [
      ['1', 8, 20],
      ['2', 50, 20],
      ['1', 9, 61],
    ] as const) {
      const memory = new Recollection();
      memory.begin('1', 5, 0, 100);
      memory.heard(9, 10);
      memory.begin(cluster, revision, at, 100);
      assert.equal(memory.grace(at), 100);
      memory.begin(cluster, revision + 1, at + 30, 100);
      assert.equal(memory.grace(at + 40), 60, 'another connection meanwhile');
      assert.equal(memory.grace(at + 100), 0);
    }
  });
});

describe('timing', () => {
  test('two members that hang are left behind while the lease lives', () => {
    for (const ttlMs of [5000, 10_000, 30_000, 3_600_000]) {
      const worst = 1.1 * renewInterval(ttlMs) + 2 * answerTimeout(ttlMs) + 2 * backoff(2, ttlMs, 1);
      assert.ok(worst < ttlMs, `${worst} of ${ttlMs}`);
    }
  });

  test('a hang that ends a lease is longer than half of it, and every stack has noticed it by then', () => {
    for (const ttlMs of [5000, 6000, 10_000, 30_000, 3_600_000]) {
      const oldest = 1.1 * renewInterval(ttlMs);
      assert.ok(ttlMs - oldest > ttlMs / 2);
      assert.ok(
        oldest + answerTimeout(ttlMs) < ttlMs - oldest,
        'before the first lease can end, every session is over',
      );
    }
  });

  test('the backoff grows, is never long beside the lease, and never nothing', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
        const wait = backoff(failures, 30_000, random);
        assert.ok(wait >= 50 && wait <= 5000);
        assert.ok(backoff(failures + 1, 30_000, random) >= wait);
      }),
    );
  });
});

describe('trouble', () => {
  test('refusals of etcd by their words', () => {
    const kinds = (message: string) => refusal(400, { code: 2, message }).kind;
    assert.equal(kinds('etcdserver: authentication failed, invalid user ID or password'), 'login');
    assert.equal(kinds('etcdserver: invalid auth token'), 'token');
    assert.equal(kinds('rpc error: code = PermissionDenied desc = etcdserver: permission denied'), 'permission');
    assert.equal(kinds('etcdserver: no leader'), 'no leader');
    assert.equal(kinds('etcdserver: mvcc: database space exceeded'), 'full');
    assert.equal(kinds('etcdserver: mvcc: required revision has been compacted'), 'watch');
    assert.deepEqual([refusal(503, undefined).kind, refusal(500, undefined).kind], ['busy', 'refused']);
    assert.equal(kinds('anything else'), 'refused');
    for (const [code, message] of [
      [14, 'etcdserver: server stopped'],
      [14, 'etcdserver: rpc not supported for learner'],
      [8, 'etcdserver: too many requests'],
      [4, 'context deadline exceeded'],
    ] as const) {
      assert.equal(refusal(503, { code, message }).kind, 'busy', message);
    }
    const large = { code: 8, message: 'grpc: received message larger than max (5000000 vs. 4194304)' };
    assert.equal(refusal(429, large).kind, 'too large');
    assert.equal(refusal(404, undefined).kind, 'protocol');
    // 3.4 puts the words into `error` as well.
    assert.equal(refusal(400, { code: 3, error: 'etcdserver: user name is empty' }).kind, 'login');
  });

  test('errors of sockets and of TLS by their codes', () => {
    const of = (code: string, message = '') =>
      connectionTrouble(Object.assign(new Error(message), { code }), 'https://a');
    assert.deepEqual([of('ECONNREFUSED').kind, of('ENOTFOUND').kind], ['unreachable', 'unreachable']);
    assert.match(of('SELF_SIGNED_CERT_IN_CHAIN').message, /ETCD_CA_FILE/);
    assert.match(of('UNABLE_TO_VERIFY_LEAF_SIGNATURE').message, /ETCD_CA_FILE/);
    assert.match(of('CERT_HAS_EXPIRED').message, /has expired/);
    assert.match(
      of('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'tlsv13 alert certificate required').message,
      /client certificate/,
    );
    assert.match(of('ECONNRESET').message, /write http:/);
    assert.equal(of('EWHATEVER', 'x'.repeat(500)).message.length, 160);
  });
});
