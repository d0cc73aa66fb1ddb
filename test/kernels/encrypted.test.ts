/** Kernel WireGuard on Debian's stock kernels, in QEMU: the socket in the host, through the handle of its namespace. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInKernel } from '../qemu/kernel.ts';

test('every stack reaches every other one inside the WireGuard of Linux 6.1, whose socket is in the host', async (t) => {
  const entry = 'test/qemu/encrypted.ts';
  const { code, stdout, stderr } = await runInKernel({ suite: 'bookworm', entry, timeoutSeconds: 600 });
  const said = `${stderr}${stdout}`;
  assert.equal(code, 0, said);
  assert.match(stdout, /"step":"result","paths":6,"kernel":true,"wireguard":true,"vxlan":false/, said);
  for (const line of stdout.split('\n').filter((text) => text.includes('"path"'))) t.diagnostic(line);
});
