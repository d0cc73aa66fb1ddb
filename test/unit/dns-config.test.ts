import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { readDiscoveryConfig } from '../../src/config/discovery-config.ts';
import { dnsServer } from '../../src/config/dns-config.ts';
import { ConfigError } from '../../src/config/variables.ts';

const SECRET = Buffer.alloc(32, 7).toString('base64');
const read = (env: Record<string, string>) =>
  readDiscoveryConfig({ STACK_ID: 'stack-a', VNI: '1000', DISCOVERY_MODE: 'dns', ...env }).dns!;
const UPDATE = {
  DNS_DOMAIN: 'docker.example',
  DNS_UPDATE_SERVER: '10.0.0.53',
  DNS_TSIG_NAME: 'k',
  DNS_TSIG_SECRET: SECRET,
};

function problems(env: Record<string, string>): string {
  try {
    read(env);
    return '';
  } catch (cause) {
    assert.ok(cause instanceof ConfigError, String(cause));
    return cause.problems.join('\n');
  }
}

test('a domain is enough to read; the servers are then those of resolv.conf', () => {
  assert.deepEqual(read({ DNS_DOMAIN: 'Docker.Example.' }), {
    domain: 'docker.example',
    servers: [],
    update: undefined,
    ttlSeconds: 5,
    intervalMs: 5000,
  });
  assert.match(problems({}), /^DNS_DOMAIN is required/);
});

test('with an update server the stack lists itself, and reads there unless told otherwise', () => {
  const config = read(UPDATE);
  assert.deepEqual(config.servers, [{ address: '10.0.0.53', port: 53 }]);
  assert.deepEqual(config.update!.key, { name: 'k', algorithm: 'hmac-sha256', secret: Buffer.alloc(32, 7) });
  const more = read({
    ...UPDATE,
    DNS_SERVERS: '10.0.0.1,10.0.0.2:5353,[fd00::1]:54,fd00::2',
    DNS_TSIG_ALGORITHM: 'hmac-sha512',
  });
  assert.deepEqual(
    more.servers.map(({ address, port }) => `${address} ${port}`),
    ['10.0.0.1 53', '10.0.0.2 5353', 'fd00::1 54', 'fd00::2 53'],
  );
  assert.equal(more.update!.key.algorithm, 'hmac-sha512');
});

test('the secret may be a file, also one of tsig-keygen with name and algorithm', () => {
  const folder = mkdtempSync(join(tmpdir(), 'docker-router-test.'));
  try {
    const file = join(folder, 'key');
    const { DNS_TSIG_SECRET: _secret, DNS_TSIG_NAME: _name, ...rest } = UPDATE;
    writeFileSync(file, `key "Docker-Router" {\n\talgorithm hmac-sha512;\n\tsecret "${SECRET}";\n};\n`);
    assert.deepEqual(read({ ...rest, DNS_TSIG_SECRET_FILE: file }).update!.key, {
      name: 'docker-router',
      algorithm: 'hmac-sha512',
      secret: Buffer.alloc(32, 7),
    });
    writeFileSync(file, `${SECRET}\n`);
    assert.equal(read({ ...rest, DNS_TSIG_NAME: 'k', DNS_TSIG_SECRET_FILE: file }).update!.key.secret.length, 32);
    assert.match(problems({ ...rest, DNS_TSIG_SECRET_FILE: file }), /DNS_TSIG_NAME is required/);
    writeFileSync(file, `key "k" { algorithm hmac-md5; secret "${SECRET}"; };`);
    assert.match(problems({ ...rest, DNS_TSIG_SECRET_FILE: file }), /hmac-md5/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('every mistake is named, and no secret is shown', () => {
  const { DNS_TSIG_SECRET: _secret, ...unsigned } = UPDATE;
  assert.match(problems(unsigned), /DNS_TSIG_SECRET/);
  assert.match(problems({ ...UPDATE, DNS_TSIG_SECRET: 'c2hvcnQ=' }), /at least 16 bytes/);
  assert.doesNotMatch(problems({ ...UPDATE, DNS_TSIG_SECRET: 'not!base64!at!all!' }), /not!base64/);
  assert.match(problems({ DNS_DOMAIN: 'docker.example', DNS_TSIG_NAME: 'k' }), /no use without DNS_UPDATE_SERVER/);
  assert.match(problems({ ...UPDATE, DNS_TSIG_ALGORITHM: 'hmac-md5' }), /DNS_TSIG_ALGORITHM must be one of/);
  assert.match(problems({ DNS_DOMAIN: 'a..b' }), /DNS_DOMAIN/);
  assert.match(problems({ DNS_DOMAIN: `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}` }), /DNS_DOMAIN/);
  assert.match(problems({ DNS_DOMAIN: 'd.example', DNS_SERVERS: 'ns.example' }), /DNS_SERVERS must be an address/);
  assert.match(problems({ DNS_DOMAIN: 'd.example', DNS_INTERVAL: '20s' }), /six times DNS_INTERVAL/);
  assert.match(problems({ DNS_DOMAIN: 'd.example', DNS_TTL: '31' }), /three times DNS_TTL/);
  assert.equal(problems({ DNS_DOMAIN: 'd.example', DNS_INTERVAL: '20s', PEER_TIMEOUT: '120' }), '');
});

test('servers are addresses with or without a port', () => {
  for (const bad of [
    '',
    'ns',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.1:',
    '[10.0.0.1]:53',
    'fd00::1:zz',
    '[fd00::1',
    '10.0.0',
    '[]:53',
    '1.2.3.4:5:6',
  ])
    assert.throws(() => dnsServer(bad), /must/, bad);
  fc.assert(
    fc.property(fc.ipV6(), fc.integer({ min: 1, max: 65535 }), (address, port) => {
      assert.deepEqual(dnsServer(`[${address}]:${port}`), { address, port });
      assert.deepEqual(dnsServer(address), { address, port: 53 });
    }),
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        dnsServer(text);
      } catch (cause) {
        assert.match((cause as Error).message, /^must/);
      }
    }),
  );
});
