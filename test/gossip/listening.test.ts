/** What somebody reads who listens between the members of the gossip, where Serf itself encrypts nothing (no GOSSIP_ENCRYPT_KEY). */
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { inPrivateNetwork } from '../conformance/network.ts';
import { nobodyReads } from '../support/listening.ts';

const HOSTS = ['10.99.0.11', '10.99.0.12', '10.99.0.13', '10.99.0.14'] as const;

await inPrivateNetwork(import.meta.url);
for (const host of HOSTS) execFileSync('ip', ['address', 'add', `${host}/24`, 'dev', 'under0']);

test('on the wire between members of the gossip nothing of a sealed record can be read, and everything of one in clear', () =>
  nobodyReads({
    env: () => ({ DISCOVERY_MODE: 'gossip', GOSSIP_SEEDS: HOSTS.join(',') }),
    hosts: HOSTS,
    // Between a discovery and its own agent, on 127.0.0.1, is no wire.
    filter: 'not host 127.0.0.1',
    open: [],
  }));
