/** Each kind of trouble with a real etcd has a message of its own that says what mends it; once mended, the source works without a restart. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type { EtcdConfig } from '../../src/config/etcd-config.ts';
import { inPrivateNetwork } from '../conformance/network.ts';
import { commands } from '../support/readme.ts';
import { Authority } from './certificates.ts';
import { EtcdCluster, etcdConfig, installEtcd } from './server.ts';
import { fails, Stacks, sees, works } from './stacks.ts';

installEtcd();
await inPrivateNetwork(import.meta.url);

const stacks = new Stacks();
afterEach(() => stacks.stop());

describe('user and password', () => {
  let cluster: EtcdCluster;
  const root = { user: 'root:secret' };
  const as = (username: string, password: string) => etcdConfig(cluster.urls, { username, password });
  before(async () => {
    cluster = await EtcdCluster.start(1);
    for (const line of commands('examples/etcd/README.md', 'role')) {
      const [program, ...args] = line.split(' ');
      assert.equal(program, 'etcdctl');
      // It asks twice on a terminal; here the password comes from its input.
      const password = line.startsWith('etcdctl user add') ? ['--interactive=false'] : [];
      await cluster.ctl([...args, ...password], { input: 'pass\n' });
    }
    await cluster.ctl(['role', 'add', 'reader']);
    await cluster.ctl(['role', 'grant-permission', 'reader', '--prefix=true', 'read', '/docker-router/discovery/']);
    for (const user of ['root:secret', 'reader:pass', 'nobody:pass']) await cluster.ctl(['user', 'add', user]);
    for (const name of ['root', 'reader']) await cluster.ctl(['user', 'grant-role', name, name]);
    await cluster.ctl(['auth', 'enable']);
  });
  after(() => cluster?.stop());

  test('the role that the README makes is enough', async () => {
    const [a, b] = [stacks.run(as('docker-router', 'pass'), 1), stacks.run(as('docker-router', 'pass'), 2)];
    await sees(a, [b]);
    await sees(b, [a]);
    await works(a);
  });

  test('wrong password', async () => {
    const message = await fails(stacks.run(as('docker-router', 'wrong'), 1), /wrong ETCD_USERNAME or ETCD_PASSWORD/);
    assert.ok(!message.includes('wrong,') && !message.includes('pass'), 'the password stands in the message');
  });

  test('no user where one is needed', async () => {
    await fails(stacks.run(etcdConfig(cluster.urls), 1), /set ETCD_USERNAME and ETCD_PASSWORD_FILE/);
  });

  test('no permission at all, and then it is granted', async () => {
    const stack = stacks.run(as('nobody', 'pass'), 1);
    await fails(stack, /user nobody may not read below \/docker-router\/discovery\/.*etcdctl role grant-permission/);
    await cluster.ctl(['user', 'grant-role', 'nobody', 'docker-router'], root);
    await works(stack);
  });

  test('permission to read only: the others are seen and not stale, and the state says why nobody sees this one', async () => {
    const other = stacks.run(as('docker-router', 'pass'), 2);
    await works(other);
    const reader = stacks.run(as('reader', 'pass'), 1);
    await fails(reader, /user reader may not write below/);
    await sees(reader, [other]);
    assert.equal(other.everything().length, 0);
    await cluster.ctl(
      ['role', 'grant-permission', 'reader', '--prefix=true', 'readwrite', '/docker-router/discovery/'],
      root,
    );
    await sees(other, [reader]);
    await works(reader);
  });

  test('a wrong password that becomes the right one', async () => {
    const stack = stacks.run(as('docker-router', 'new'), 1);
    await fails(stack, /wrong ETCD_USERNAME/);
    await cluster.ctl(['user', 'passwd', '--interactive=false', 'docker-router'], { ...root, input: 'new' });
    await works(stack);
    await cluster.ctl(['user', 'passwd', '--interactive=false', 'docker-router'], { ...root, input: 'pass' });
    // A changed password makes the token invalid, which shows with the next change of the key.
    stack.change({ vxlan_port: 5000 });
    await fails(stack, /wrong ETCD_USERNAME/);
    await cluster.ctl(['user', 'passwd', '--interactive=false', 'docker-router'], { ...root, input: 'new' });
    await works(stack);
  });
});

describe('TLS', () => {
  const ours = new Authority('our CA');
  const theirs = new Authority('another CA');
  const server = ours.issue('server', 'IP:127.0.0.1,DNS:localhost');
  const client = ours.issue('client', 'DNS:client');
  const none = { ca: undefined, cert: undefined, key: undefined };
  const withTls = (cluster: EtcdCluster, tls: Partial<EtcdConfig['tls']>, changes: Partial<EtcdConfig> = {}) =>
    etcdConfig(cluster.urls, { tls: { ...none, ...tls }, ...changes });
  let plain: EtcdCluster;
  let secure: EtcdCluster;
  let mutual: EtcdCluster;
  before(async () => {
    plain = await EtcdCluster.start(1);
    secure = await EtcdCluster.start(1, { tls: { ...server, ca: ours.ca } });
    mutual = await EtcdCluster.start(1, { tls: { ...server, ca: ours.ca, clientCa: ours.ca, client } });
  });
  after(() => Promise.all([plain, secure, mutual].map((cluster) => cluster?.stop())));

  test('a private CA', async () => {
    const [a, b] = [stacks.run(withTls(secure, { ca: ours.ca }), 1), stacks.run(withTls(secure, { ca: ours.ca }), 2)];
    await sees(a, [b]);
    await sees(b, [a]);
  });

  test('client certificates', async () => {
    const config = withTls(mutual, { ca: ours.ca, ...client });
    const [a, b] = [stacks.run(config, 1), stacks.run(config, 2)];
    await sees(a, [b]);
    await sees(b, [a]);
  });

  test('no CA, and the wrong one', async () => {
    await fails(stacks.run(withTls(secure, {}), 1), /not signed by a known CA: set ETCD_CA_FILE/);
    await fails(stacks.run(withTls(secure, { ca: theirs.ca }), 2), /not signed by a known CA: set ETCD_CA_FILE/);
  });

  test('no client certificate, and one of the wrong CA', async () => {
    await fails(stacks.run(withTls(mutual, { ca: ours.ca }), 1), /does not accept the client certificate/);
    const foreign = theirs.issue('client', 'DNS:client');
    await fails(stacks.run(withTls(mutual, { ca: ours.ca, ...foreign }), 2), /does not accept the client certificate/);
  });

  test('a certificate for another name', async () => {
    const elsewhere = await EtcdCluster.start(1, {
      tls: { ...ours.issue('other', 'DNS:etcd.example'), ca: ours.ca },
      unverified: true,
    });
    try {
      await fails(stacks.run(withTls(elsewhere, { ca: ours.ca }), 1), /certificate is for another name/);
    } finally {
      await elsewhere.stop();
    }
  });

  test('a member that asks for client certificates and has one itself that is not fit for a client', async () => {
    const tls = { ...ours.issue('half', 'IP:127.0.0.1', 'serverAuth'), ca: ours.ca, clientCa: ours.ca, client };
    const half = await EtcdCluster.start(1, { tls });
    try {
      await fails(stacks.run(withTls(half, { ca: ours.ca, ...client }), 1), /must be fit for a client, too/);
    } finally {
      await half.stop();
    }
  });

  test('http:// where etcd has TLS, and https:// where it has none', async () => {
    const http = secure.urls.map((url) => url.replace('https:', 'http:'));
    await fails(stacks.run(etcdConfig(http), 1), /write https:\/\/ in ETCD_ENDPOINTS/);
    const https = plain.urls.map((url) => url.replace('http:', 'https:'));
    await fails(
      stacks.run(etcdConfig(https, { tls: { ...none, ca: ours.ca } }), 2),
      /write http:\/\/ in ETCD_ENDPOINTS/,
    );
  });

  test('files that are no certificates, and then are', async () => {
    const file = ours.file('late.crt', 'nonsense');
    const key = ours.file('late.key', 'nonsense');
    const stack = stacks.run(withTls(mutual, { ca: ours.ca, cert: file, key }), 1);
    await fails(stack, /ETCD_CA_FILE, ETCD_CERT_FILE or ETCD_KEY_FILE cannot be used/);
    assert.deepEqual(ours.issue('late', 'DNS:client'), { cert: file, key });
    await works(stack);
  });
});

describe('endpoints', () => {
  test('nothing listens; a name that nobody knows', async () => {
    const url = 'http://127.0.0.1:1';
    assert.equal(
      await fails(stacks.run(etcdConfig([url]), 1), /nothing listens/),
      `${url}: nothing listens there; is etcd running, and the port right?`,
    );
    await fails(
      stacks.run(etcdConfig(['http://no.such.name.invalid:2379']), 2),
      /its name (is not known|cannot be looked up)/,
    );
  });

  test('an address that does not answer', async () => {
    // On the test network, and nobody's.
    await fails(stacks.run(etcdConfig(['http://10.99.0.77:2379']), 1), /no route to it|no answer in time/);
  });

  test('every endpoint is named with what is wrong with it', async () => {
    const stack = stacks.run(etcdConfig(['http://127.0.0.1:1', 'http://no.such.name.invalid:2379']), 1);
    await fails(stack, /^http:\/\/127\.0\.0\.1:1: nothing listens.*; http:\/\/no\.such\.name\.invalid:2379: its name/);
  });

  test('a user although authentication is off is no trouble', async () => {
    const cluster = await EtcdCluster.start(1);
    try {
      await works(stacks.run(etcdConfig(cluster.urls, { username: 'stack', password: 'pass' }), 1));
    } finally {
      await stacks.stop();
      await cluster.stop();
    }
  });
});
