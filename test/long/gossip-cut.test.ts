/** Cuts of five minutes, on three hosts that gossip. Ten minutes, nearly all of them waiting. Run `npm run build` before. */
import { test } from 'node:test';
import { cutAndHeal } from '../gossip/cut.ts';
import { CONNECT_MS, useGossipHosts } from '../gossip/hosts.ts';
import { within } from '../support/hosts.ts';

const CUT_MS = 5 * 60_000;
const hosts = useGossipHosts();

for (const restart of [false, true]) {
  const meanwhile = restart ? ', in which all the others restart and forget,' : '';
  test(`a cut of 5 minutes${meanwhile} heals within 15 s`, { timeout: CUT_MS + 60_000 }, async (context) => {
    await within(2 * CONNECT_MS, 'all pairs are connected', hosts.connecting());
    context.diagnostic(await cutAndHeal(hosts, { cutMs: CUT_MS, restart }));
  });
}
