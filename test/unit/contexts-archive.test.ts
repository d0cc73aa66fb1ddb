import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  indexArchive,
  parseHeader,
  presentFiles,
  type ReadAt,
  ranges,
  sharedLayers,
} from '../../src/contexts/archive.ts';

const readAtOf =
  (bytes: Buffer): ReadAt =>
  async (offset, length) =>
    bytes.subarray(offset, offset + length);

test('an archive without some of its files is what tar reads without them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'docker-router-archive-'));
  try {
    const long = `${'long/'.repeat(18)}name-that-needs-more-than-one-hundred-bytes`;
    const files: Record<string, string> = {
      'manifest.json': '[]',
      a: 'x'.repeat(511),
      b: 'y'.repeat(512),
      c: '',
      d: 'z'.repeat(513),
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const names = Object.keys(files);
    // With extended headers for everything, as newer engines write for some.
    for (const format of ['ustar', 'pax']) {
      const extra = format === 'pax' ? [`--transform=s,^d$,${long},`, '--pax-option=comment=x'] : [];
      const tar = execFileSync('tar', ['-cf', '-', `--format=${format}`, ...extra, '-C', folder, ...names]);
      const entries = await indexArchive(readAtOf(tar));
      assert.equal(entries.length, names.length);
      assert.deepEqual(
        entries.slice(0, 4).map(({ data, size }) => tar.toString('latin1', data, data + size)),
        names.slice(0, 4).map((name) => files[name]),
      );
      const kept = ranges(entries, new Set(['b', 'manifest.json'])).map(({ start, end }) => tar.subarray(start, end));
      const listed = execFileSync('tar', ['-tf', '-'], {
        input: Buffer.concat([...kept, Buffer.alloc(1024)]),
        encoding: 'utf8',
      });
      assert.deepEqual(listed.trim().split('\n'), ['a', 'c', format === 'pax' ? long : 'd']);
    }
    await assert.rejects(indexArchive(readAtOf(await readFile(process.execPath))), /not a tar archive/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a size beyond 8 GB is read', () => {
  const block = Buffer.alloc(512);
  block.write('layer', 0);
  block.write('ustar', 257);
  block[124] = 0x80;
  block.writeBigUInt64BE(20_000_000_000n, 128);
  assert.equal(parseHeader(block)?.size, 20_000_000_000);
});

test('exactly the layers that an engine will read are sent', () => {
  const layer = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const stack = fc.uniqueArray(layer, { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(
      fc.array(stack, { minLength: 1, maxLength: 3 }),
      fc.array(stack, { maxLength: 3 }),
      (images, present) => {
        const saved = images.map((layers) => ({ layers, files: layers.map((name) => `blobs/${name}`) }));
        const left = presentFiles(saved, present);
        // As an engine loads: from the bottom up, and only what it does not have in this very order.
        for (const { layers, files } of saved) {
          for (const [i, file] of files.entries()) {
            const there = present.some((other) => sharedLayers(layers, other) > i);
            assert.ok(there || !left.has(file), `${file} is missing`);
          }
        }
        // And nothing in vain: what every image finds on the host is not sent.
        for (const name of new Set(images.flat())) {
          const always = saved.every(
            ({ layers }) =>
              !layers.includes(name) || present.some((other) => sharedLayers(layers, other) > layers.indexOf(name)),
          );
          assert.equal(left.has(`blobs/${name}`), always);
        }
      },
    ),
  );
});
