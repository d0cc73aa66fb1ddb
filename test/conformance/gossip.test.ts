/** Gossip against the conformance suite: real Serf agents on a network of their own. */
import { createSocket } from 'node:dgram';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { GossipConfig } from '../../src/config/gossip-config.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { childrenNamed, type ForeignAgent, foreignAgent, gossipKey } from '../gossip/serf.ts';
import { createSource } from './gossip-source.ts';
import { HOST_IP } from './network.ts';
import { conformance, inPrivateNetwork, spawnStack } from './suite.ts';

const SEED = { host: HOST_IP, port: undefined };
const GOSSIP_PORTS = [7946, 7947, 7948];

await inPrivateNetwork(import.meta.url);
const root = await mkdtemp('/run/docker-router-gossip-');
const config: GossipConfig = { seeds: [SEED], port: 7946, keys: [gossipKey()], profile: 'lan' };
const options = { config, root };
const module = new URL('./gossip-source.ts', import.meta.url).href;
const strangers: ForeignAgent[] = [];

/** Stands before the real one in PATH, and fails while there is a file beside it: the outage. */
async function installSwitch(): Promise<void> {
  const script = `#!/bin/sh\nif [ -e '${root}/outage' ]; then echo 'serf: not now' >&2; exit 1; fi\nexec /usr/bin/serf "$@"\n`;
  await writeFile(join(root, 'serf'), script, { mode: 0o755 });
  process.env.PATH = `${root}:${process.env.PATH}`;
}

async function injectGarbage(): Promise<void> {
  const hostile = {
    id: '../../etc',
    inst: 'x',
    ip: '999.1.1.1',
    vni: '-1',
    since: '',
    boot: 'z'.repeat(300),
    __proto__: null,
  };
  const kinds = [
    {},
    { role: 'web', dc: 'east' },
    hostile,
    { ...hostile, id: 'a', inst: '0000000000000000', ip: '10.0.0.1' },
    JSON.parse('{"__proto__":"x","constructor":"y","id":"\\u0000"}'),
  ];
  for (const [n, tags] of kinds.entries()) {
    strangers.push(
      await foreignAgent({ root, hostIp: HOST_IP, port: 9000 + n, tags, key: config.keys[0], join: `${HOST_IP}:7946` }),
    );
  }
  // A whole cluster of somebody else, with a key of its own, that tries to join this one.
  strangers.push(
    await foreignAgent({ root, hostIp: HOST_IP, port: 9100, tags: {}, key: gossipKey(), join: `${HOST_IP}:7946` }),
  );
  const datagrams = createSocket('udp4');
  for (const port of GOSSIP_PORTS) {
    for (const bytes of ['', 'hello', '\u0000'.repeat(1400), 'x'.repeat(9000)]) {
      await new Promise((resolve) => datagrams.send(bytes, port, HOST_IP, resolve));
    }
    connect({ host: HOST_IP, port })
      .on('error', () => undefined)
      .end('GET / HTTP/1.0\r\n\r\n');
  }
  datagrams.close();
}

const outage = {
  begin: async () => {
    await writeFile(join(root, 'outage'), '');
    for (const pid of childrenNamed(process.pid, 'serf')) process.kill(pid, 'SIGKILL');
  },
  end: () => rm(join(root, 'outage')),
};

conformance('gossip', {
  start: installSwitch,
  stop: async () => {
    await Promise.all(strangers.map((stranger) => stranger.kill()));
    await rm(root, { recursive: true, force: true });
  },
  hostIp: HOST_IP,
  create: (record: StackRecord) => createSource(options, record),
  spawn: (record: StackRecord) => spawnStack({ module, options, record }),
  injectGarbage,
  within: { seen: 10_000, left: 3000, dead: 20_000 },
  sameId: 'both visible',
  outage,
});
