/** Each line of docs/security.md's tables of privilege names a test that is there. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(`${ROOT}/${path}`, 'utf8');
const [, privilege] = /\n## Privilege\n([\s\S]*?)\n## /.exec(read('docs/security.md'))!;
const rows = privilege!
  .split('\n')
  .filter((line) => /^\| (?!what|---)/.test(line) && !line.startsWith('|---'))
  .map((line) => line.split(' | '));

/** `FILE`: "TITLE", "TITLE" -> each title with the file before it. */
function namedTests(text: string): { file: string; title: string }[] {
  let file = '';
  return [...text.matchAll(/`(test\/[\w./-]+\.test\.ts)`|"([^"]+)"/g)].flatMap(([, path, title]) => {
    file = path ?? file;
    return title === undefined ? [] : [{ file, title }];
  });
}

/** Also in single quotes, in which an apostrophe has a backslash before it. */
const holds = (source: string, title: string) =>
  [`test('${title}'`, `test("${title}"`, `test(\`${title}\``, `test('${title.replaceAll("'", "\\'")}'`].some((begin) =>
    source.includes(begin),
  );

test('every capability, mount and port names a test, and each test that is named exists', () => {
  assert.ok(rows.length > 20, `${rows.length} rows`);
  for (const [what, , tests = ''] of rows) {
    const named = namedTests(tests);
    assert.ok(named.length > 0, `${what} names no test`);
    for (const { file, title } of named) assert.ok(holds(read(file), title), `${file} has no test "${title}"`);
  }
  assert.throws(() => assert.ok(holds(read('test/lab/trust.test.ts'), 'no such test')));
});

test('what the example gives the containers is in the tables, and nothing else', () => {
  const { services } = parse(read('examples/docker-router.yml')) as {
    services: Record<string, Record<string, unknown>>;
  };
  const shape = (service: string) =>
    Object.entries(services[service]!)
      .filter(([key]) => !['image', 'environment', 'restart', 'command', 'profiles'].includes(key))
      .map(([key, value]) => `${key}: ${typeof value === 'object' ? JSON.stringify(value) : value}`);
  assert.deepEqual(shape('discovery'), [
    'network_mode: host',
    'user: 10001:10001',
    'read_only: true',
    'cap_drop: ["ALL"]',
    'security_opt: ["no-new-privileges:true"]',
    'volumes: ["docker-router:/var/lib/docker-router"]',
  ]);
  assert.deepEqual(shape('router'), [
    'read_only: true',
    'cap_drop: ["ALL"]',
    'cap_add: ["NET_ADMIN"]',
    'security_opt: ["no-new-privileges:true"]',
    'sysctls: ["net.ipv4.ip_forward=1"]',
    'volumes: ["docker-router:/var/lib/docker-router","/proc/1/ns/net:/run/netns/underlay:ro"]',
  ]);
  assert.deepEqual(shape('map'), [
    'network_mode: host',
    'user: 10001:10001',
    'read_only: true',
    'cap_drop: ["ALL"]',
    'security_opt: ["no-new-privileges:true"]',
    'volumes: ["docker-router:/var/lib/docker-router:ro"]',
  ]);
});
