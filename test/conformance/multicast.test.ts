/** Multicast against the conformance suite, on a network of its own. */
import { createSocket } from 'node:dgram';
import type { StackRecord } from '../../src/record/record.ts';
import { CONFIG, createSource } from './multicast-source.ts';
import { HOST_IP } from './network.ts';
import { conformance, inPrivateNetwork, spawnStack } from './suite.ts';

const GARBAGE = [
  '',
  'hello',
  '{"docker_router":1,"type":"announce"}',
  '{"docker_router":2,"type":"query","stack_id":"a","instance":"0000000000000000"}',
  JSON.stringify({ docker_router: 1, type: 'announce', interval_ms: 1000, record: { stack_id: '../../etc', vni: -1 } }),
  '['.repeat(3000),
  'x'.repeat(60_000),
];

async function injectGarbage(): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, resolve));
  socket.setMulticastInterface(HOST_IP);
  const send = (bytes: Buffer) =>
    new Promise<void>((resolve, reject) => {
      socket.send(bytes, CONFIG.port, CONFIG.group, (cause) => (cause ? reject(cause) : resolve()));
    });
  for (const text of GARBAGE) await send(Buffer.from(text));
  await send(Buffer.from([0xff, 0xfe, 0, 1, 2, 3, 0xc0, 0x80]));
  socket.close();
}

await inPrivateNetwork(import.meta.url);
conformance('multicast', {
  start: async () => undefined,
  stop: async () => undefined,
  hostIp: HOST_IP,
  create: (record: StackRecord) => createSource(undefined, record),
  spawn: (record: StackRecord) =>
    spawnStack({ module: new URL('./multicast-source.ts', import.meta.url).href, options: undefined, record }),
  injectGarbage,
  within: { seen: 10_000, left: 1500, dead: 8000 },
  sameId: 'both visible',
  skip: {
    'while the transport is away the peers stay and are stale; afterwards all is well':
      'multicast has no server that could be away: a network that is silent looks like one without stacks, and PEER_TIMEOUT decides',
  },
});
