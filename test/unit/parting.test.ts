import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parting } from '../../src/discovery/parting.ts';
import { parseJson } from '../../src/record/record.ts';
import { type Plane, PlaneFile } from '../../src/router/plane-file.ts';
import { MAX_ROUTER_BYTES, type RouterFile, RouterFileSchema } from '../../src/state/router-file.ts';

const PLANE: Plane = {
  version: 1,
  stack_id: 'stack-a',
  subnets: ['172.30.0.0/24'],
  gateway_ip: '172.30.0.2',
  vtep_mac: '02:00:00:00:00:01',
  vxlan_port: 4789,
};
const file = (changes: Partial<RouterFile>): RouterFile => ({
  ...PLANE,
  state: 'running',
  last_update: '2026-01-01T00:00:00Z',
  ...changes,
});
const says =
  (...files: (RouterFile | undefined)[]) =>
  async () =>
    files.length > 1 ? files.shift() : files[0];

test('while its router goes on, discovery leaves quietly', async () => {
  assert.equal(await parting(says(file({})), 30), 'quietly');
});

test('goodbye: the router stops too, before it or a moment later; there is none; it has no subnets; it is one that does not say when it stops', async () => {
  assert.equal(await parting(says(file({ state: 'stopping' })), 30), 'goodbye');
  assert.equal(await parting(says(file({}), file({}), file({ state: 'stopping' })), 10_000), 'goodbye');
  assert.equal(await parting(says(undefined), 10_000), 'goodbye');
  assert.equal(await parting(says(file({ subnets: [] })), 10_000), 'goodbye');
  const { state, ...old } = file({});
  assert.equal(state, 'running');
  assert.equal(await parting(says(old), 10_000), 'goodbye');
});

test('who did not get a turn for the whole time looks once more', async () => {
  let looks = 0;
  const how = await parting(async () => {
    looks += 1;
    if (looks === 1) {
      const end = performance.now() + 60;
      while (performance.now() < end);
      return file({});
    }
    return file({ state: 'stopping' });
  }, 30);
  assert.equal(how, 'goodbye');
});

test('router.json says that the router runs, and at its end that it stops, with all that it said before', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'docker-router-plane.'));
  try {
    const path = join(folder, 'router.json');
    const read = () => {
      const parsed = parseJson(RouterFileSchema, readFileSync(path, 'utf8'), MAX_ROUTER_BYTES);
      return parsed.ok ? parsed.value : assert.fail(parsed.error);
    };
    const plane = new PlaneFile(path, () => 0);
    await plane.farewell();
    assert.throws(read, /ENOENT/);
    await plane.write(PLANE);
    assert.equal(read().state, 'running');
    assert.equal(await plane.says(PLANE), true);
    assert.equal(await plane.says({ ...PLANE, vxlan_port: 4790 }), false);
    await plane.farewell();
    assert.deepEqual(read(), { ...PLANE, state: 'stopping', last_update: '1970-01-01T00:00:00Z' });
    // Its successor writes the file anew, whatever is there.
    assert.equal(await new PlaneFile(path, () => 0).says(PLANE), false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
