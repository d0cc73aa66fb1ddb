/** The real daemons on Debian's stock kernels, in QEMU: across hosts, on one host, and after a fault. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInKernel, SUITES, type Suite } from '../qemu/kernel.ts';

for (const [suite, version] of Object.entries(SUITES) as [Suite, string][]) {
  test(`on Linux ${version} every stack reaches every other one, with a router's process stopped too, and damage is healed`, async (t) => {
    const { code, stdout, stderr } = await runInKernel({ suite, entry: 'test/qemu/main-job.ts', timeoutSeconds: 600 });
    const said = `${stderr}${stdout}`;
    assert.match(stdout, new RegExp(`"release":"${version.replace('.', '\\.')}\\.`), said);
    assert.equal(code, 0, said);
    assert.match(stdout, /"step":"result","paths":6,"without":2,"repaired":true/, said);
    for (const line of stdout.split('\n').filter((text) => text.includes('"path"'))) t.diagnostic(line);
  });
}
