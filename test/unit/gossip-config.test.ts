import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGossipKey, readGossip } from '../../src/config/gossip-config.ts';
import { type ConfigError, type Environment, Variables } from '../../src/config/variables.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');
const OTHER = Buffer.alloc(16, 9).toString('base64');

function read(env: Environment) {
  const vars = new Variables(env);
  const config = readGossip(vars);
  vars.finish();
  return config;
}

function problems(env: Environment): readonly string[] {
  try {
    read(env);
  } catch (cause) {
    return (cause as ConfigError).problems;
  }
  return [];
}

test('nothing has to be set', () => {
  assert.deepEqual(read({}), { seeds: [], port: 7946, keys: [], profile: 'lan' });
});

test('seeds are addresses or names, with or without a port', () => {
  const { seeds } = read({ GOSSIP_SEEDS: '10.0.1.5, host-b.example:7950,10.0.1.6:7946,,10.0.1.5' });
  assert.deepEqual(seeds, [
    { host: '10.0.1.5', port: undefined },
    { host: 'host-b.example', port: 7950 },
    { host: '10.0.1.6', port: 7946 },
  ]);
});

test('a malformed seed is named, with an example', () => {
  for (const bad of [
    '10.0.1',
    '10.0.1.5:0',
    '10.0.1.5:65536',
    'a:b',
    'a:1:2',
    ':7946',
    '-a',
    'a_b',
    '127.0.0.1',
    '010.0.0.1',
    'http://a',
    '/etc',
  ]) {
    const found = problems({ GOSSIP_SEEDS: `10.0.0.9,${bad}` });
    assert.equal(found.length, 1, bad);
    assert.match(found[0]!, /^GOSSIP_SEEDS must be a list of HOST or HOST:PORT, such as 10\.0\.1\.5/);
  }
});

test('any text as seeds is read or refused in words', () => {
  fc.assert(
    fc.property(fc.string(), (text) =>
      assert.ok(problems({ GOSSIP_SEEDS: text }).every((problem) => problem.startsWith('GOSSIP_SEEDS '))),
    ),
  );
});

test('keys: one or several, from the variable or a file, the first one seals', () => {
  assert.deepEqual(read({ GOSSIP_ENCRYPT_KEY: KEY }).keys, [KEY]);
  assert.deepEqual(read({ GOSSIP_ENCRYPT_KEY: `${KEY}, ${OTHER},${KEY}` }).keys, [KEY, OTHER]);
  const folder = mkdtempSync(join(tmpdir(), 'gossip-'));
  try {
    const file = join(folder, 'key');
    writeFileSync(file, `${OTHER}\n${KEY}\n`);
    assert.deepEqual(read({ GOSSIP_ENCRYPT_KEY_FILE: file }).keys, [OTHER, KEY]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a key is 16, 24 or 32 bytes of base64 and nothing else', () => {
  for (const bytes of [16, 24, 32]) assert.ok(isGossipKey(Buffer.alloc(bytes, 1).toString('base64')));
  const wrong = fc.nat(64).filter((bytes) => ![16, 24, 32].includes(bytes));
  fc.assert(fc.property(wrong, (bytes) => assert.ok(!isGossipKey(Buffer.alloc(bytes, 1).toString('base64')))));
  for (const bad of [`${KEY}A`, KEY.replace('=', ''), ` ${KEY}`, KEY.replaceAll('=', '!'), 'secret'])
    assert.ok(!isGossipKey(bad), bad);
});

test('a wrong key is told by its place, never by its value', () => {
  const [problem, ...more] = problems({ GOSSIP_ENCRYPT_KEY: `${KEY},TopSecretValue` });
  assert.deepEqual(more, []);
  assert.match(problem!, /^GOSSIP_ENCRYPT_KEY must be 16, 24 or 32 bytes in base64.*openssl rand.*key 2 of 2 is not$/);
  assert.ok(!problem!.includes('TopSecret'));
});

test('profile and port', () => {
  assert.equal(read({ GOSSIP_PROFILE: 'WAN', GOSSIP_PORT: '8000' }).profile, 'wan');
  assert.match(problems({ GOSSIP_PROFILE: 'fast' })[0]!, /^GOSSIP_PROFILE must be one of lan, wan, local/);
  assert.match(problems({ GOSSIP_PORT: '0' })[0]!, /^GOSSIP_PORT must be a whole number from 1 to 65535/);
});
