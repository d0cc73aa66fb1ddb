/** 200 members on one machine. Three minutes with two processors to itself; about 4 GB of memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { inPrivateNetwork } from '../conformance/network.ts';
import { Crowd } from '../gossip/crowd.ts';

const COUNT = 200;
/** Faster than this, two processors are too few for all of them to answer each other. */
const START_EVERY_MS = 700;
const COMPLETE_MS = 180_000;

await inPrivateNetwork(import.meta.url);

test(`${COUNT} members: the table is complete and the same on all`, { timeout: 900_000 }, async (context) => {
  const root = mkdtempSync('/run/docker-router-gossip-');
  const crowd = new Crowd({ root, profile: 'lan', startEveryMs: START_EVERY_MS, say: console.log });
  context.after(async () => {
    await crowd.close();
    rmSync(root, { recursive: true, force: true });
  });
  await crowd.grow(COUNT);
  const all = crowd.members.map((member) => member.record);
  context.diagnostic(
    `complete and identical on all ${await crowd.untilAllHold(all, COMPLETE_MS)} ms after the last start`,
  );
});
