import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readDiscoveryConfig } from '../../src/config/discovery-config.ts';
import type { EtcdConfig } from '../../src/config/etcd-config.ts';
import { ConfigError } from '../../src/config/variables.ts';

const folder = mkdtempSync(join(tmpdir(), 'docker-router-config-'));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

const BASE = { STACK_ID: 'stack-a', VNI: '1000', DISCOVERY_MODE: 'etcd' };
const read = (env: Record<string, string>): EtcdConfig => readDiscoveryConfig({ ...BASE, ...env }).etcd!;

function problems(env: Record<string, string>): readonly string[] {
  try {
    read(env);
    return [];
  } catch (cause) {
    assert.ok(cause instanceof ConfigError);
    return cause.problems;
  }
}

test('the published defaults', () => {
  assert.deepEqual(read({ ETCD_ENDPOINTS: 'http://10.0.1.5:2379' }), {
    endpoints: ['http://10.0.1.5:2379'],
    prefix: '/docker-router/discovery',
    leaseTtlMs: 30_000,
    username: undefined,
    password: undefined,
    tls: { ca: undefined, cert: undefined, key: undefined },
  });
});

test('nothing of etcd is read or wanted without the mode', () => {
  const config = readDiscoveryConfig({ ...BASE, DISCOVERY_MODE: 'multicast', ETCD_ENDPOINTS: '%%' });
  assert.equal(config.etcd, undefined);
});

test('endpoints in every form that people write', () => {
  const cases: [string, string[]][] = [
    ['10.0.1.5:2379', ['http://10.0.1.5:2379']],
    ['10.0.1.5', ['http://10.0.1.5:2379']],
    ['etcd-1, etcd-2:4001 ,', ['http://etcd-1:2379', 'http://etcd-2:4001']],
    ['https://etcd.example', ['https://etcd.example:2379']],
    ['https://etcd.example:443', ['https://etcd.example:443']],
    ['http://etcd.example:80/', ['http://etcd.example:80']],
    ['http://[fd00::1]:2379', ['http://[fd00::1]:2379']],
    ['HTTP://ETCD:2379,http://etcd:2379', ['http://etcd:2379']],
  ];
  for (const [text, endpoints] of cases) assert.deepEqual(read({ ETCD_ENDPOINTS: text }).endpoints, endpoints, text);
});

test('with TLS files a bare address means https', () => {
  const tls = { ETCD_CA_FILE: file('ca', 'x'), ETCD_CERT_FILE: file('cert', 'x'), ETCD_KEY_FILE: file('key', 'x') };
  const config = read({ ETCD_ENDPOINTS: 'etcd:2379', ...tls });
  assert.deepEqual(config.endpoints, ['https://etcd:2379']);
  assert.deepEqual(config.tls, { ca: tls.ETCD_CA_FILE, cert: tls.ETCD_CERT_FILE, key: tls.ETCD_KEY_FILE });
});

test('a password comes from its file, without the newline', () => {
  const login = { ETCD_USERNAME: 'stack', ETCD_PASSWORD_FILE: file('password', 'se cret\n') };
  assert.equal(read({ ETCD_ENDPOINTS: 'etcd', ...login }).password, 'se cret');
});

test('the prefix loses its slashes at the end', () => {
  assert.equal(read({ ETCD_ENDPOINTS: 'etcd', ETCD_PREFIX: '/mine//' }).prefix, '/mine');
});

test('each wrong value is named', () => {
  const cases: [Record<string, string>, RegExp][] = [
    [{}, /^ETCD_ENDPOINTS is required, for example/],
    [{ ETCD_ENDPOINTS: ' , ' }, /^ETCD_ENDPOINTS holds no address/],
    [{ ETCD_ENDPOINTS: 'ftp://etcd' }, /^ETCD_ENDPOINTS must hold addresses/],
    [{ ETCD_ENDPOINTS: 'http://etcd:2379/v3' }, /^ETCD_ENDPOINTS must hold addresses/],
    [{ ETCD_ENDPOINTS: 'http://etcd:99999' }, /^ETCD_ENDPOINTS must hold addresses/],
    [{ ETCD_ENDPOINTS: 'http://me:secret@etcd' }, /^ETCD_ENDPOINTS must hold no user and password/],
    [
      { ETCD_ENDPOINTS: 'http://etcd', ETCD_CA_FILE: file('ca2', 'x') },
      /^ETCD_ENDPOINTS has http:\/\/ addresses although/,
    ],
    [{ ETCD_ENDPOINTS: 'etcd', ETCD_LEASE_TTL: '4' }, /^ETCD_LEASE_TTL must be a time from 5 /],
    [{ ETCD_ENDPOINTS: 'etcd', ETCD_PREFIX: '/' }, /^ETCD_PREFIX must be/],
    [{ ETCD_ENDPOINTS: 'etcd', ETCD_USERNAME: 'me' }, /^ETCD_USERNAME and ETCD_PASSWORD/],
    [{ ETCD_ENDPOINTS: 'etcd', ETCD_PASSWORD: 'secret' }, /^ETCD_USERNAME and ETCD_PASSWORD/],
    [
      { ETCD_ENDPOINTS: 'etcd', ETCD_CERT_FILE: file('cert2', 'x') },
      /^ETCD_CERT_FILE and ETCD_KEY_FILE belong together/,
    ],
    [{ ETCD_ENDPOINTS: 'etcd', ETCD_CA_FILE: '/nowhere' }, /^ETCD_CA_FILE names "\/nowhere", which cannot be read/],
  ];
  for (const [env, pattern] of cases) {
    const found = problems(env);
    assert.equal(found.length, 1, `${JSON.stringify(env)}: ${found.join('; ')}`);
    assert.match(found[0]!, pattern);
    assert.doesNotMatch(found[0]!, /secret/);
  }
});
