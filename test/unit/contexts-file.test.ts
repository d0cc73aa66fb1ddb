import assert from 'node:assert/strict';
import { chmod, lstat, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { HOST_PATTERN, isHost } from '../../src/contexts/address.ts';
import {
  conflicts,
  contextsOf,
  type Document,
  emptyDocument,
  formatFile,
  formatPath,
  NAME_PATTERN,
  parseFile,
  withContext,
  withoutContext,
} from '../../src/contexts/file.ts';
import { readContexts, writeContexts } from '../../src/contexts/places.ts';
import { validates } from '../support/json-schema.ts';
import { block } from '../support/readme.ts';

const entry = {
  description: 'One',
  host: 'ssh://user@10.0.0.1',
  enabled: true,
  compose_file: 'a.yml',
  stack_name: 'a',
};
const text = (contexts: unknown, more: object = {}) => JSON.stringify({ contexts, ...more });

function problems(json: string): readonly string[] {
  const parsed = parseFile(json);
  assert.ok(!parsed.ok, 'must be refused');
  return parsed.problems;
}

function document(json: string): Document {
  const parsed = parseFile(json);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problems.join());
  return parsed.document;
}

test('every problem is named with the path to the wrong value', () => {
  const wrong = {
    remote1: { ...entry, host: 'http://x', enabled: 'yes' },
    'with.dot': { ...entry, stack_name: 'Big' },
    remote2: { description: 'no more' },
  };
  assert.deepEqual(problems(text(wrong)), [
    'contexts.remote1.host: must be "local" or ssh://[user@]host[:port] (an IPv6 address in brackets), but is "http://x"',
    'contexts.remote1.enabled: must be true or false, but is "yes"',
    'contexts["with.dot"].stack_name: must be 1-63 lower-case letters, digits or hyphens, but is "Big"',
    'contexts.remote2.host: is missing',
    'contexts.remote2.compose_file: is missing',
    'contexts.remote2.stack_name: is missing',
  ]);
  assert.match(problems('{"contexts": {')[0]!, /^is not JSON: /);
  assert.deepEqual(problems('{}'), ['contexts: is missing']);
  assert.match(problems(text([]))[0]!, /^contexts: must be an object that holds/);
  assert.match(problems(text({ default: entry }))[0]!, /^contexts\.default: is no name for a context/);
  assert.match(problems(text({ '-x': entry }))[0]!, /^contexts\.-x: is no name/);
});

test('names that reach an object’s prototype are refused, not ignored', () => {
  for (const name of ['__proto__', 'constructor', 'prototype']) {
    assert.match(
      problems(`{"contexts":{"${name}":${JSON.stringify(entry)}}}`)[0]!,
      new RegExp(`contexts.${name}: is no name`),
    );
  }
});

test('unknown keys are named and kept', () => {
  const json = text({ remote1: { ...entry, 'compose-file': 'b.yml', colour: 'red' } }, { owner: 'me' });
  const parsed = parseFile(json);
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.warnings, [
    'owner: unknown key, kept and not used',
    'contexts.remote1.compose-file: unknown key, kept and not used; did you mean compose_file?',
    'contexts.remote1.colour: unknown key, kept and not used',
  ]);
  const changed = JSON.parse(formatFile(withContext(parsed.document, 'remote1', { enabled: false })));
  assert.deepEqual(changed, {
    contexts: { remote1: { ...entry, enabled: false, 'compose-file': 'b.yml', colour: 'red' } },
    owner: 'me',
  });
});

test('an edit changes what it names and nothing else', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{1,8}$/);
  const known = fc.record({
    host: fc.constant('local'),
    compose_file: fc.constant('a.yml'),
    stack_name: fc.constant('a'),
  });
  const contexts = fc.dictionary(
    name,
    fc.tuple(known, fc.dictionary(fc.string(), fc.jsonValue())).map(([a, b]) => ({ x: b, ...a })),
  );
  fc.assert(
    fc.property(contexts, name, fc.jsonValue(), (before, other, extra) => {
      if (Object.hasOwn({}, other) || ['constructor', 'prototype', 'default'].includes(other) || other in {}) return;
      const json = text(before, { extra });
      const read = document(json);
      const after = JSON.parse(formatFile(withContext(read, other, { ...entry, stack_name: 'new' })));
      const expected = JSON.parse(json);
      expected.contexts[other] = { ...expected.contexts[other], ...entry, stack_name: 'new' };
      assert.deepEqual(after, expected);
      delete expected.contexts[other];
      assert.deepEqual(JSON.parse(formatFile(withoutContext(document(JSON.stringify(after)), other))), expected);
      // Reading what was written changes nothing.
      assert.equal(formatFile(document(formatFile(read))), formatFile(read));
    }),
  );
});

test('defaults are used and not written', () => {
  const { enabled: _enabled, description: _description, ...rest } = entry;
  const read = document(text({ remote1: rest }));
  assert.deepEqual(contextsOf(read), [{ ...rest, name: 'remote1', enabled: true, description: '' }]);
  assert.deepEqual(JSON.parse(formatFile(read)), { contexts: { remote1: rest } });
});

test('two contexts with one stack name are in each other’s way', () => {
  const both = contextsOf(document(text({ aa: entry, bb: { ...entry, stack_name: 'b' }, cc: entry })));
  assert.deepEqual(conflicts(both), [
    'contexts.cc.stack_name: "a" is the stack of aa too; give each stack its own name, or disable one',
  ]);
});

test('a path with strange keys can be read', () => {
  assert.equal(formatPath(['contexts', 'a b', 'host']), 'contexts["a b"].host');
});

const schema = JSON.parse(await readFile('docs/docker-contexts.schema.json', 'utf8'));

test('the published schema and the tools agree', () => {
  assert.equal(schema.$defs.context.properties.host.pattern, HOST_PATTERN);
  assert.equal(schema.properties.contexts.propertyNames.pattern, NAME_PATTERN);
  // Values at the edge of what is right, in every place: most documents have one or two wrong ones.
  const oneOf = (...values: unknown[]) =>
    fc.oneof({ weight: 6, arbitrary: fc.constant(values[0]) }, fc.constantFrom(...values));
  const values = {
    description: oneOf('text', '', 'x'.repeat(200), 'x'.repeat(201), 1, null),
    host: oneOf(
      'local',
      'ssh://h',
      'ssh://u@[::1]:22',
      'ssh://h:65535',
      'ssh://h:65536',
      'ssh://-h',
      'ssh://u@h/',
      'tcp://h',
      '',
      1,
      undefined,
    ),
    enabled: oneOf(true, false, 'true', 0, null),
    compose_file: oneOf('a.yml', 'with space.yml', '', 5, undefined),
    stack_name: oneOf('a', 'stack-b', '-a', 'A', 'x'.repeat(63), 'x'.repeat(64), undefined),
    $schema: oneOf('x', 1),
    other: oneOf(1, {}),
  };
  const context = fc.oneof({ weight: 9, arbitrary: fc.record(values) }, fc.constantFrom(null, [], 'x', 7));
  const name = fc.constantFrom('remote1', 'a.b', 'A_+-9', 'default', 'x', '-a', 'a b', 'x'.repeat(64), 'x'.repeat(65));
  const contexts = fc.oneof(
    { weight: 9, arbitrary: fc.dictionary(name, context, { maxKeys: 2 }) },
    fc.constantFrom(null, [], 'x'),
  );
  const file = fc.record({ contexts, $schema: values.$schema, other: values.other }, { requiredKeys: [] });
  const seen = { right: 0, wrong: 0 };
  fc.assert(
    fc.property(file, (value) => {
      const json = JSON.stringify(value);
      const accepted = parseFile(json).ok;
      seen[accepted ? 'right' : 'wrong'] += 1;
      assert.equal(validates(schema, JSON.parse(json)), accepted, json);
    }),
    { numRuns: 2000 },
  );
  assert.ok(seen.right > 100 && seen.wrong > 100, JSON.stringify(seen));
});

test('what the tools accept as a host the schema accepts', () => {
  const part = fc.constantFrom(
    'ssh://',
    'user@',
    '[',
    '::1',
    ']',
    ':',
    '22',
    'host',
    '10.0.0.1',
    '-',
    '%25',
    'eth0',
    'local',
    '/',
  );
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 7 }).map((parts) => parts.join('')),
      (host) => !isHost(host) || new RegExp(HOST_PATTERN).test(host),
    ),
  );
});

test('the example and the empty file are right', async () => {
  const example = await readFile('docker-contexts.json.example', 'utf8');
  for (const json of [example, formatFile(emptyDocument())]) {
    assert.deepEqual(parseFile(json), { ok: true, document: JSON.parse(json), warnings: [] });
    assert.ok(validates(schema, JSON.parse(json)));
  }
});

test('the file is replaced whole; a link stays a link, and permissions stay', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'docker router contexts '));
  t.after(() => rm(folder, { recursive: true }));
  const [file, link] = [join(folder, 'real.json'), join(folder, 'docker-contexts.json')];
  await writeContexts(file, emptyDocument());
  await chmod(file, 0o600);
  await symlink('real.json', link);
  const before = await stat(file);
  await writeContexts(link, withContext(emptyDocument(), 'remote1', entry));
  const after = await stat(file);
  assert.ok((await lstat(link)).isSymbolicLink());
  assert.equal(after.mode & 0o777, 0o600);
  assert.notEqual(after.ino, before.ino, 'another file under the same name: a reader sees the old one or the new one');
  assert.deepEqual((await readdir(folder)).sort(), ['docker-contexts.json', 'real.json']);
  const read = await readContexts(link);
  assert.ok(read?.ok && read.document.contexts.remote1);
  assert.equal(await readContexts(join(folder, 'none.json')), undefined);
});

test('the file that docs/contexts.md shows is taken as it is', () => {
  const shown = contextsOf(document(block('docs/contexts.md', 'file')));
  assert.deepEqual(
    shown.map(({ name, host }) => `${name} ${host}`),
    ['remote1 ssh://user@192.168.1.100'],
  );
});
