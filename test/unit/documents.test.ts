/** No block of the documents is left that no test executes. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(`${ROOT}/${path}`, 'utf8');
const files = (folder: string, end: string) =>
  (readdirSync(`${ROOT}/${folder}`, { recursive: true, encoding: 'utf8' }) as string[])
    .filter((name) => name.endsWith(end))
    .map((name) => `${folder}/${name}`);

const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', ...files('docs', '.md'), ...files('examples', '.md')].sort();
const TESTS = files('test', '.test.ts').map(read);

/** Blocks that hold nothing to execute, by a part of their text; all are without a language. */
const SHOWN: readonly (readonly [document: string, part: string, reason: string])[] = [
  ['README.md', 'stack-a ──', 'a drawing'],
  ['docs/architecture.md', 'environment ─►', 'a drawing'],
  ['docs/lab.md', 'switch: a bridge', 'a drawing'],
  ['docs/contexts.md', 'FAILED   nothing arrives', 'what test-contexts.sh prints'],
  ['docs/contexts.md', 'FROM \\ TO', 'what test-multi-context.sh prints'],
  ['docs/dns.md', '_docker-router._udp.DOMAIN         PTR', 'the form of the records that Discovery writes'],
  ['docs/etcd.md', '$ etcdctl get', 'the command with its answer; it is executed in examples/etcd/README.md'],
  ['docs/gossip.md', 'stack-a.1f0a9c3e', 'what the command above it prints'],
  ['docs/encryption.md', '"wg_public_key"', 'a part of router.json'],
];

interface Block {
  readonly document: string;
  readonly line: number;
  readonly language: string;
  /** From the comment before it. */
  readonly name: string | undefined;
  readonly text: string;
}

function blocksOf(document: string): Block[] {
  const found: Block[] = [];
  const lines = read(document).split('\n');
  for (let i = 0; i < lines.length; i += 1) {
    const fence = /^( *)```(\w*)$/.exec(lines[i]!);
    // Four spaces after an empty line are a block as well, outside of a list.
    const indented = /^ {4}\S/.test(lines[i]!) && lines[i - 1]?.trim() === '';
    if (!fence && !indented) continue;
    const begin = i;
    if (fence) while (++i < lines.length && lines[i]!.trim() !== '```');
    else while (lines[i + 1]?.startsWith('    ')) i += 1;
    const name = /^ *<!-- test: (\S+) -->$/.exec(lines[begin - 1] ?? '')?.[1];
    const text = lines.slice(fence ? begin + 1 : begin, fence ? i : i + 1).join('\n');
    found.push({ document, line: begin + 1, language: fence ? fence[2]! : 'indented', name, text });
  }
  return found;
}

const BLOCKS = DOCUMENTS.flatMap(blocksOf);
const where = ({ document, line, text }: Block) => `${document}:${line}: ${text.split('\n')[0]}`;
/** By its document and its name, both of which a test has to say. */
const executed = ({ document, name }: Block) =>
  TESTS.some((text) => text.includes(`'${document}'`) && text.includes(`'${name}'`));
const shown = ({ document, text, language }: Block) =>
  language !== 'indented' && SHOWN.some(([named, part]) => named === document && text.includes(part));

test('each block of the documents is executed by a test, or is known to hold nothing to execute', () => {
  const left = BLOCKS.filter((block) => (block.name === undefined ? !shown(block) : !executed(block)));
  assert.deepEqual(left.map(where), []);
  assert.ok(BLOCKS.filter(executed).length > 50);
});

test('what holds nothing to execute is still there, and is no command', () => {
  for (const [document, part, reason] of SHOWN) {
    const blocks = BLOCKS.filter((block) => block.document === document && block.text.includes(part));
    assert.equal(blocks.length, 1, `${document}: ${part} (${reason})`);
    assert.equal(blocks[0]!.name, undefined);
    assert.doesNotMatch(blocks[0]!.language, /^(sh|yaml)$/, `${document}: ${part}`);
  }
});

test('no two blocks of a document have one name', () => {
  const names = BLOCKS.filter(({ name }) => name !== undefined).map(({ document, name }) => `${document} ${name}`);
  assert.equal(new Set(names).size, names.length);
});
