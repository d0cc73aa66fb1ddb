/** What somebody reads who listens between discoveries and their name server. */
import { test } from 'node:test';
import { inPrivateNetwork } from '../conformance/network.ts';
import { nobodyReads } from '../support/listening.ts';
import { Bind, DOMAIN, testKey } from './bind.ts';

await inPrivateNetwork(import.meta.url);

test("on the wire to the name server nothing of a sealed record can be read but its stack's id, and everything of one in clear", async () => {
  const bind = await Bind.start();
  const { address, port } = bind.server;
  const { name, secret } = testKey();
  const update = {
    DNS_UPDATE_SERVER: `${address}:${port}`,
    DNS_TSIG_NAME: name,
    DNS_TSIG_SECRET: secret.toString('base64'),
  };
  const times = { DNS_INTERVAL: '300ms', DNS_TTL: '1', PEER_TIMEOUT: '6s', ANNOUNCE_INTERVAL: '2s' };
  try {
    await nobodyReads({
      env: () => ({ DISCOVERY_MODE: 'dns', DNS_DOMAIN: DOMAIN, ...update, ...times }),
      hosts: ['10.99.0.11', '10.99.0.12', '10.99.0.13', '10.99.0.14'],
      filter: `port ${port}`,
      open: ['stack_id'],
    });
  } finally {
    await bind.close();
  }
});
