/** Whatever happens to the watch, the lease, the key or the store: it ends in a right table, without a restart. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inPrivateNetwork } from '../conformance/network.ts';
import { Authority } from './certificates.ts';
import { TcpProxy } from './proxy.ts';
import { EtcdCluster, etcdConfig, installEtcd } from './server.ts';
import { fails, Stacks, sees, troubles, until, watchForLosses, works } from './stacks.ts';

installEtcd();
await inPrivateNetwork(import.meta.url);

const PREFIX = '/docker-router/discovery';
const stacks = new Stacks();
let cluster: EtcdCluster;
before(async () => {
  cluster = await EtcdCluster.start(1);
});
after(() => cluster?.stop());
afterEach(async () => {
  await stacks.stop();
  await cluster.ctl(['del', '--prefix', PREFIX]);
});

describe('the watch', () => {
  let proxy: TcpProxy;
  before(async () => {
    proxy = await TcpProxy.start(cluster.urls[0]!);
  });
  after(() => proxy.stop());

  const watches = () => proxy.carrying('/v3/watch');
  const watchRuns = () => until(() => watches() === 1, 5000, 'one watch runs', watches);
  const silenceWatch = async () => {
    await watchRuns();
    proxy.silence('/v3/watch');
  };

  test('is one connection, and calls share another', async () => {
    const stack = stacks.run(etcdConfig([proxy.url]), 1);
    await works(stack);
    await sleep(3000);
    assert.ok(proxy.connections <= 2, `${proxy.connections} connections`);
    await stacks.stop();
    await until(
      () => proxy.connections === 0,
      2000,
      'no connection stays',
      () => proxy.connections,
    );
  });

  test('that fell silent is noticed although renewals go on', async () => {
    const [viewer, other] = [stacks.run(etcdConfig([proxy.url]), 1), stacks.run(etcdConfig(cluster.urls), 2)];
    await sees(viewer, [other]);
    await silenceWatch();
    const late = stacks.run(etcdConfig(cluster.urls), 3);
    other.change({ vxlan_port: 6001 });
    await sees(viewer, [other, late]);
    await silenceWatch();
    await late.source.stop();
    await sees(viewer, [other]);
    assert.deepEqual(troubles(viewer), []);
  });

  test('other applications that write to the same etcd do not end it', async () => {
    // A long lease: its renewals, to which a busy machine may be late, are not what this is about.
    const viewer = stacks.run(etcdConfig([proxy.url], { leaseTtlMs: 30_000 }), 1);
    await works(viewer);
    const seen = viewer.events.length;
    for (let i = 0; i < 20; i += 1) {
      await cluster.ctl(['put', '/other/application', String(i)]);
      await sleep(200);
    }
    assert.deepEqual(viewer.events.slice(seen), []);
  });

  test('and everything else on half-open connections', async () => {
    const [viewer, other] = [stacks.run(etcdConfig([proxy.url]), 1), stacks.run(etcdConfig(cluster.urls), 2)];
    await sees(viewer, [other]);
    await watchRuns();
    proxy.silence();
    other.change({ vxlan_port: 6002 });
    await sees(viewer, [other]);
    await sees(other, [viewer]);
  });

  test('after a cut in which peers came, went and changed, and etcd was compacted', async () => {
    const direct = etcdConfig(cluster.urls);
    const viewer = stacks.run(etcdConfig([proxy.url], { leaseTtlMs: 30_000 }), 1);
    const [goes, changes] = [stacks.run(direct, 2), stacks.run(direct, 3)];
    await sees(viewer, [goes, changes]);
    proxy.cut();
    await goes.source.stop();
    changes.change({ vxlan_port: 6003 });
    const comes = stacks.run(direct, 4);
    await sees(comes, [viewer, changes]);
    const { header } = JSON.parse(await cluster.ctl(['get', '-w', 'json', 'x'])) as { header: { revision: number } };
    await cluster.ctl(['compact', String(header.revision)]);
    await fails(viewer, /it closed the connection|nothing listens/);
    assert.ok(viewer.everything().every(({ stale }) => stale) && viewer.everything().length === 2);
    proxy.restore();
    await sees(viewer, [changes, comes]);
    await works(viewer);
  });
});

describe('the store', () => {
  test('that hung for longer than a lease: nobody is missing although every lease is over; who died meanwhile goes', async () => {
    const own = await EtcdCluster.start(1);
    const proxy = await TcpProxy.start(own.urls[0]!);
    try {
      const config = etcdConfig(own.urls);
      const [a, b, dies] = [stacks.run(config, 1), stacks.run(config, 2), stacks.run(etcdConfig([proxy.url]), 3)];
      await sees(a, [b, dies]);
      await sees(b, [a, dies]);
      const monitors = [watchForLosses(a, [b, dies]), watchForLosses(b, [a, dies])];
      own.members[0]!.pause();
      proxy.cut();
      await sleep(6000);
      own.members[0]!.resume();
      await until(
        () => a.has(b.record) && a.works === true && b.works === true,
        10_000,
        'etcd is back',
        () => a.events.slice(-4),
      );
      for (const monitor of monitors) monitor.stop();
      assert.deepEqual(
        monitors.flatMap(({ losses }) => [...losses]),
        [],
      );
      await sees(a, [b]);
      await sees(b, [a]);
      await stacks.stop();
    } finally {
      proxy.stop();
      await own.stop();
    }
  });

  test('with values of other kinds and sizes below the prefix', async () => {
    const own = await EtcdCluster.start(1);
    try {
      const big = 'x'.repeat(1_000_000);
      for (let i = 0; i < 12; i += 1) await own.ctl(['put', `${PREFIX}/big-${i}`], { input: big });
      const config = etcdConfig(own.urls);
      const [a, b] = [stacks.run(config, 1), stacks.run(config, 2)];
      await sees(a, [b], 20_000);
      await sees(b, [a], 20_000);
      assert.ok(a.events.some((event) => event.type === 'dropped' && event.kind === 'foreign key'));
      await stacks.stop();
    } finally {
      await own.stop();
    }
  });

  test('that lost everything: the others stay until they had the time to come back, and only those who did stay on', async () => {
    const own = await EtcdCluster.start(1);
    const proxy = await TcpProxy.start(own.urls[0]!);
    try {
      const config = etcdConfig(own.urls);
      const [a, b, slow] = [stacks.run(config, 1), stacks.run(config, 2), stacks.run(etcdConfig([proxy.url]), 3)];
      await sees(a, [b, slow]);
      // A revision that a new store does not reach soon.
      for (let i = 0; i < 10; i += 1) b.change({ vxlan_port: 6100 + i });
      await sees(a, [b, slow]);
      const monitor = watchForLosses(a, [b, slow]);
      proxy.cut();
      await own.members[0]!.kill();
      own.members[0]!.wipe();
      own.members[0]!.start();
      await own.healthy();
      await works(a);
      await sleep(500);
      monitor.stop();
      assert.deepEqual([...monitor.losses], [], 'nobody was removed at once');
      await sees(a, [b]);
      await sees(b, [a]);
      proxy.restore();
      await sees(a, [b, slow]);
      await stacks.stop();
    } finally {
      proxy.stop();
      await own.stop();
    }
  });
});

test('tokens that expire are renewed without a word', async () => {
  const keys = new Authority('tokens');
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const files = `pub-key=${keys.file('jwt.pub', publicKey)},priv-key=${keys.file('jwt.key', privateKey)}`;
  const own = await EtcdCluster.start(1, { flags: ['--auth-token', `jwt,${files},sign-method=RS256,ttl=2s`] });
  try {
    await own.ctl(['user', 'add', 'root:secret']);
    await own.ctl(['user', 'grant-role', 'root', 'root']);
    await own.ctl(['auth', 'enable']);
    const config = etcdConfig(own.urls, { username: 'root', password: 'secret' });
    const [a, b] = [stacks.run(config, 1), stacks.run(config, 2)];
    for (let i = 0; i < 4; i += 1) {
      await sees(a, [b]);
      await sees(b, [a]);
      await sleep(2500);
      a.change({ vxlan_port: 6200 + i });
      b.change({ vxlan_port: 6200 + i });
    }
    assert.deepEqual([...troubles(a), ...troubles(b)], []);
    // The lease can be revoked with an expired token too.
    await sleep(2500);
    await b.source.stop();
    await until(
      () => a.everything().length === 0,
      1500,
      'b is gone at once',
      () => a.everything(),
    );
  } finally {
    await stacks.stop();
    await own.stop();
  }
});
