/** Dropped datagrams as the kernel lists them, and as it counts them for a real socket. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { dropsOn, Losses } from '../../src/sources/multicast/losses.ts';

const LISTING = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
   17: 00000000:12B6 00000000:0000 07 00000000:00000000 00:00000000 00000000 10001        0 4711 2 0000000000000000 12
   18: 0100007F:12B6 00000000:0000 07 00000000:00000000 00:00000000 00000000 10001        0 4712 2 0000000000000000 5
   19: 00000000:12B6 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4713 2 0000000000000000 100
   20: 00000000:0035 0200000A:12B6 01 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 1000
`;

test('what was dropped at own sockets of the port is counted, and nothing else', () => {
  assert.equal(dropsOn(4790, LISTING, new Set(['4711', '4712'])), 17);
  assert.equal(dropsOn(4790, LISTING, new Set()), 0);
  assert.equal(dropsOn(4791, LISTING, new Set(['4711'])), 0);
  assert.equal(dropsOn(4790, 'noise\n:12B6\n', new Set(['4711'])), 0);
});

test('a socket that is not read loses what comes, and that is news once', async () => {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 2048 });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  const losses = new Losses(port);
  assert.equal(losses.fresh(), 0);
  const sender = createSocket('udp4');
  // Sent without a turn of the event loop between: nobody reads meanwhile.
  const sent = Array.from(
    { length: 100 },
    () => new Promise((resolve) => sender.send(Buffer.alloc(1000), port, '127.0.0.1', resolve)),
  );
  await Promise.all(sent);
  const lost = losses.fresh();
  assert.ok(lost > 0 && lost < 100, `${lost}`);
  assert.equal(losses.fresh(), 0);
  socket.close();
  sender.close();
});
