/** Forty members; two hundred of them: test/long. */
import { mkdtempSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { inPrivateNetwork } from '../conformance/network.ts';
import { Crowd } from './crowd.ts';

const COUNT = 40;
const COMPLETE_MS = 60_000;

await inPrivateNetwork(import.meta.url);

test(`${COUNT} members: the table is complete and the same on all, also after one of them died`, async (context) => {
  const root = mkdtempSync('/run/docker-router-gossip-');
  const crowd = new Crowd({ root, profile: 'lan', startEveryMs: 200, say: () => undefined });
  context.after(async () => {
    await crowd.close();
    rmSync(root, { recursive: true, force: true });
  });
  await crowd.grow(COUNT);
  const records = () => crowd.members.map((member) => member.record);
  const complete = await crowd.untilAllHold(records(), COMPLETE_MS);
  await crowd.members.pop()!.kill();
  const noticed = await crowd.untilAllHold(records(), COMPLETE_MS);
  context.diagnostic(`complete ${complete} ms after the last start, a death known to all after ${noticed} ms`);
});
