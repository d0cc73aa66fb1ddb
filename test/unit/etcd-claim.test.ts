import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { StackRecord } from '../../src/record/record.ts';
import { Claim, judgeHolder } from '../../src/sources/etcd/claim.ts';
import type { EtcdClient } from '../../src/sources/etcd/client.ts';
import { encode, recordKey } from '../../src/sources/etcd/keys.ts';
import type { KeyValue } from '../../src/sources/etcd/messages.ts';
import { EtcdTrouble } from '../../src/sources/etcd/trouble.ts';
import { record } from '../support/records.ts';

const P = '/p';
const me = record(1);
const key = recordKey(P, me.stack_id);
const row = (value: string | StackRecord, changes: Partial<KeyValue> = {}): KeyValue => ({
  key: encode(key),
  value: encode(typeof value === 'string' ? value : JSON.stringify(value)),
  mod_revision: '7',
  lease: '5',
  ...changes,
});

/** A store with one key, which does what etcd's transaction does. */
class Store {
  there: KeyValue | undefined;
  revision = 1;
  readonly leases = new Set<string>();
  readonly calls: string[] = [];
  /** Runs before the next answer is given. */
  meanwhile: (() => void) | undefined;

  async grant(id: string, ttlMs: number): Promise<number> {
    this.calls.push('grant');
    this.leases.add(id);
    return ttlMs;
  }

  async keepAlive(id: string) {
    return { ttlMs: this.leases.has(id) ? 3000 : 0, revision: this.revision };
  }

  async putIf(_key: string, changedAt: string, value: string, lease: string) {
    this.calls.push('put');
    if (!this.leases.has(lease)) throw new EtcdTrouble('no lease', '');
    const equal = (this.there?.mod_revision ?? '0') === changedAt;
    const there = this.there;
    if (equal) this.put(value, lease);
    const answer = equal ? { put: true as const, revision: String(this.revision) } : { put: false as const, there };
    this.meanwhile?.();
    this.meanwhile = undefined;
    return answer;
  }

  async revoke(id: string): Promise<void> {
    this.leases.delete(id);
    if (this.there?.lease === id) this.there = undefined;
  }

  put(value: string, lease = '5'): void {
    this.revision += 1;
    this.there = row(value, { mod_revision: String(this.revision), lease });
  }

  get client(): EtcdClient {
    return this as unknown as EtcdClient;
  }

  get text(): string | undefined {
    return this.there && Buffer.from(this.there.value, 'base64').toString();
  }
}

let store: Store;
let claim: Claim;
beforeEach(() => {
  store = new Store();
  claim = new Claim(P, 3000);
});
const hold = (what = me) => claim.hold(store.client, what);
/** The key goes away by somebody else's doing; returns the watch's word of it. */
function deleted() {
  store.revision += 1;
  store.there = undefined;
  return { type: 'DELETE' as const, kv: row('', { mod_revision: String(store.revision) }) };
}

test('who holds the key decides what is done about it', () => {
  const judge = (there: KeyValue) => judgeHolder(P, there, me, '12').kind;
  assert.equal(judge(row(me, { lease: '12' })), 'ours');
  assert.equal(judge(row(record(1, { seq: 9 }), { lease: '12' })), 'take', 'an older word of ours');
  assert.equal(judge(row(record(1, { boot: 5 }))), 'take', 'an earlier life of this stack');
  assert.equal(judge(row('junk')), 'take', 'nobody');
  assert.equal(judge(row(record(2, { stack_id: me.stack_id }))), 'refused', 'another stack');
  assert.equal(judge(row(record(1, { boot: me.boot + 1 }))), 'refused', 'a later life of this stack');
});

test('an absent key is created with one question, and held without another', async () => {
  assert.equal(await hold(), undefined);
  assert.equal(await hold(), undefined);
  assert.deepEqual(store.calls, ['grant', 'put']);
  assert.equal(store.text, JSON.stringify(me));
});

test('a change is put once, over the record that is known', async () => {
  await hold();
  await hold(record(1, { seq: 2 }));
  assert.deepEqual(store.calls, ['grant', 'put', 'put']);
  assert.equal(store.text, JSON.stringify(record(1, { seq: 2 })));
});

test('another stack is left alone', async () => {
  const other = JSON.stringify(record(2, { stack_id: me.stack_id }));
  store.put(other);
  assert.match((await hold()) ?? '', /is held by another stack on 192\.168\.0\.2 since/);
  assert.equal(store.text, other);
  store.there = undefined;
  assert.equal(await hold(), undefined);
});

test('a lease that is gone is replaced by a new one', async () => {
  await hold();
  store.leases.clear();
  store.there = undefined;
  assert.equal(await claim.renew(store.client), undefined);
  assert.equal(await hold(), undefined);
  assert.equal(store.text, JSON.stringify(me));
  // Also when only the transaction finds out.
  store.leases.clear();
  claim.notice(deleted(), me.stack_id);
  assert.equal(await hold(), undefined);
  assert.equal(store.text, JSON.stringify(me));
});

test('the echo of what was put is no news, however it and the answer follow each other', async () => {
  store.meanwhile = () => {
    assert.equal(claim.notice({ type: 'PUT', kv: store.there! }, me.stack_id), false);
  };
  await hold();
  assert.equal(claim.notice({ type: 'PUT', kv: store.there! }, me.stack_id), false);
  const old = store.there!;
  await hold(record(1, { seq: 2 }));
  assert.equal(claim.notice({ type: 'PUT', kv: old }, me.stack_id), false, 'an event older than what is known');
  assert.deepEqual(store.calls, ['grant', 'put', 'put']);
});

test('a deletion told before the answer to a put is not forgotten', async () => {
  store.meanwhile = () => {
    assert.equal(claim.notice(deleted(), me.stack_id), true);
  };
  assert.equal(await hold(), undefined);
  assert.equal(store.text, JSON.stringify(me), 'it is put again');
});

test('other keys are no news', () => {
  const kv = row(me, { key: encode(recordKey(P, 'stack-2')), mod_revision: '99' });
  assert.equal(claim.notice({ type: 'DELETE', kv }, me.stack_id), false);
});

test('what comes between all the time is reported, not tried for ever', async () => {
  const client = { ...store, grant: async () => 3000, putIf: async () => ({ put: false, there: row('junk') }) };
  assert.match((await claim.hold(client as unknown as EtcdClient, me)) ?? '', /changed by something else all the time/);
});

test('after revoke nothing is put any more', async () => {
  await hold();
  await claim.revoke(store.client, 100);
  assert.equal(store.there, undefined);
  assert.equal(await hold(record(1, { seq: 3 })), undefined);
  assert.equal(store.there, undefined);
});
