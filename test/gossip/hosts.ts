/** Three hosts that discover each other by gossip alone, as the tests of it begin and end. */
import { after, before } from 'node:test';
import { Hosts } from '../support/hosts.ts';
import { gossipKey } from './serf.ts';

/** What is promised of the lan profile, in milliseconds. */
export const CONNECT_MS = 5000;
export const NOTICE_MS = 15_000;
export const HEAL_MS = 15_000;

export function gossipHosts(): Hosts {
  return new Hosts({
    environment: (addresses) => ({
      DISCOVERY_MODE: 'gossip',
      // Two of the three: the third is found through them.
      GOSSIP_SEEDS: `${addresses['host-1']},${addresses['host-2']}`,
      GOSSIP_ENCRYPT_KEY: gossipKey(),
      GOSSIP_PROFILE: process.env.GOSSIP_PROFILE,
    }),
  });
}

/** Makes them before the tests of a file, removes them after. */
export function useGossipHosts(): Hosts {
  const hosts = gossipHosts();
  before(() => hosts.up(), { timeout: 60_000 });
  after(() => hosts.down());
  return hosts;
}
