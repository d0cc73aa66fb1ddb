import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { readDiscoveryConfig } from '../../src/config/discovery-config.ts';
import { ConfigError } from '../../src/config/variables.ts';
import { matches, unwanted } from '../../src/peers/patterns.ts';

const KEY = Buffer.alloc(32, 5).toString('base64');
const OTHER = Buffer.alloc(32, 6).toString('base64');
const read = (env: Record<string, string>) => readDiscoveryConfig({ STACK_ID: 'stack-a', VNI: '1000', ...env });

function problems(env: Record<string, string>): string {
  try {
    read(env);
  } catch (cause) {
    assert.ok(cause instanceof ConfigError);
    return cause.problems.join('\n');
  }
  return '';
}

test('without keys and identity there is no trust to load', () => {
  assert.equal(read({}).trust, undefined);
  assert.equal(read({ DISCOVERY_KEYS: '', IDENTITY_DIR: '' }).trust, undefined);
});

test('a ring of keys, from the variable or from a file with lines and comments', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keys-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'keys');
  writeFileSync(path, `# since spring\n${KEY}  # new\n\n${OTHER}\n`);
  const ways: Record<string, string>[] = [{ DISCOVERY_KEYS: `${KEY},${OTHER}` }, { DISCOVERY_KEYS_FILE: path }];
  for (const env of ways)
    assert.deepEqual(
      read(env).trust?.keys.map((key) => key.toString('base64')),
      [KEY, OTHER],
    );
  assert.equal(read({ DISCOVERY_KEYS_FILE: path }).trust?.keysFile, path);
});

test('a wrong key is named by its place and never shown', () => {
  const text = problems({ DISCOVERY_KEYS: `${KEY},secret-password` });
  assert.match(text, /32 bytes in base64, as "openssl rand -base64 32" makes them; key 2 of 2/);
  assert.ok(!text.includes('secret-password') && !text.includes(KEY));
  assert.match(problems({ DISCOVERY_KEYS_FILE: '/nowhere' }), /DISCOVERY_KEYS_FILE names "\/nowhere"/);
  assert.match(problems({ DISCOVERY_KEYS: ' , ' }), /holds no key/);
});

test('the identity lies in a volume of its own; TRUSTED_PEERS needs somebody who signs', () => {
  assert.match(problems({ IDENTITY_DIR: '/var/lib/docker-router' }), /IDENTITY_DIR must not be the shared volume/);
  assert.match(problems({ TRUSTED_PEERS: `stack-b=${'a'.repeat(32)}` }), /TRUSTED_PEERS needs/);
  assert.match(problems({ DISCOVERY_KEYS: KEY, TRUSTED_PEERS: 'stack-b=abc' }), /STACK=FINGERPRINT/);
});

test('ALLOW_STACKS and DENY_STACKS: patterns with * and ?', () => {
  const { allowStacks, denyStacks } = read({ ALLOW_STACKS: 'shop-*,db', DENY_STACKS: 'shop-test?' });
  const filter = { allow: allowStacks, deny: denyStacks };
  const wanted = (id: string) => unwanted(id, filter) === undefined;
  assert.deepEqual(['shop-web', 'db', 'shop-test', 'shop-', 'shop-test12'].map(wanted), [true, true, true, true, true]);
  assert.deepEqual(['dbx', 'other', 'shop-test1'].map(wanted), [false, false, false]);
  assert.match(unwanted('shop-test1', filter)!, /DENY_STACKS has shop-test\?/);
  assert.equal(unwanted('anything', { allow: [], deny: [] }), undefined);
  assert.match(problems({ DENY_STACKS: 'UPPER' }), /DENY_STACKS must be/);
});

test('a pattern matches what the same regular expression matches, and no pattern takes long', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 12 });
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
  fc.assert(
    fc.property(pattern, text, (glob, id) => {
      const expression = new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`);
      assert.equal(matches(glob, id), expression.test(id));
    }),
  );
  assert.equal(matches('*a'.repeat(31), `${'a'.repeat(62)}b`), false);
});
