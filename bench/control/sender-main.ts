/** The process behind `sender.ts`. */
import { createSocket } from 'node:dgram';
import type { StackRecord } from '../../src/record/record.ts';
import { encodeMessage } from '../../src/sources/multicast/message.ts';
import { announceInterval, jittered } from '../../src/sources/multicast/timing.ts';
import { peer } from './peers.ts';
import type { Order } from './sender.ts';

const GROUP = '239.1.1.1';
const PORT = 4790;
const BATCH_MS = 10;

const socket = createSocket('udp4');
socket.bind(0, () => {
  socket.setMulticastInterface('10.77.0.2');
  process.send?.('ready');
});

function announce(record: StackRecord, intervalMs: number): void {
  socket.send(encodeMessage({ docker_router: 1, type: 'announce', interval_ms: intervalMs, record }), PORT, GROUP);
}

const now = () => performance.timeOrigin + performance.now();
const done = () => void process.send?.(now());

async function once({ first, count, perSecond, intervalMs }: Extract<Order, { kind: 'once' }>): Promise<void> {
  const batch = Math.max(1, Math.round((perSecond * BATCH_MS) / 1000));
  for (let sent = 0; sent < count; sent += batch) {
    for (let n = sent; n < Math.min(count, sent + batch); n += 1) announce(peer(first + n), intervalMs);
    await new Promise((resolve) => setTimeout(resolve, BATCH_MS));
  }
}

function steady({ count, configuredMs }: Extract<Order, { kind: 'steady' }>): void {
  const intervalMs = announceInterval(configuredMs, count);
  for (let n = 0; n < count; n += 1) {
    const record = peer(n);
    const again = () => {
      announce(record, intervalMs);
      setTimeout(again, jittered(intervalMs, Math.random()));
    };
    setTimeout(again, Math.random() * intervalMs);
  }
}

process.on('message', async (order: Order) => {
  if (order.kind === 'record') announce(order.record, order.intervalMs);
  else if (order.kind === 'once') await once(order);
  else steady(order);
  done();
});
process.on('disconnect', () => process.exit(0));
