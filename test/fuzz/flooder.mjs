// Sends datagrams to a multicast group as fast as asked: flooder.mjs ADDRESS PORT RATE SECONDS. Prints how many it sent.
// Plain JavaScript: the test's process must not share its processor with a compiler.
import { createSocket } from 'node:dgram';

const [group, port, rate, seconds] = process.argv.slice(2);
const hex = (n, length) => n.toString(16).padStart(length, '0');

/** What a hostile or broken sender sends: noise, half of a message, and good messages of stacks that do not exist. */
function datagram(n) {
  const id = n % 40_000;
  const record = {
    stack_id: `flood-${id}`,
    vni: 1000,
    host_ip: `10.88.${id >> 8 && (id >> 8) & 255}.${1 + (id & 127)}`,
    subnets: [`10.${100 + (id >> 8)}.${id & 255}.0/24`],
    gateway_ip: `10.${100 + (id >> 8)}.${id & 255}.2`,
    vtep_mac: `02:00:00:${hex(id >> 16, 2)}:${hex((id >> 8) & 255, 2)}:${hex(id & 255, 2)}`,
    vxlan_port: 4789,
    instance: hex(id, 16),
    since: 1_800_000_000_000,
    boot: 1_800_000_000_000,
    seq: n,
  };
  const text = JSON.stringify({ docker_router: 1, type: 'announce', interval_ms: 1000, record });
  if (n % 4 === 0) return Buffer.from(text);
  if (n % 4 === 1) return Buffer.from(text.slice(0, n % text.length));
  if (n % 4 === 2) return Buffer.alloc(1400, n & 255);
  return Buffer.from(text.replace('"vni":1000', '"vni":-1'));
}

const prepared = Array.from({ length: 50_000 }, (_, n) => datagram(n));
const socket = createSocket('udp4');
await new Promise((resolve) => socket.connect(Number(port), group, resolve));
const began = performance.now();
let sent = 0;
let failed = 0;
socket.on('error', () => {
  failed += 1;
});
while (performance.now() - began < seconds * 1000) {
  const due = Math.min(sent + 2000, Math.floor(((performance.now() - began) / 1000) * rate));
  for (; sent < due; sent += 1) socket.send(prepared[sent % prepared.length]);
  await new Promise((resolve) => setImmediate(resolve));
}
const took = (performance.now() - began) / 1000;
process.stdout.write(`${JSON.stringify({ sent: sent - failed, perSecond: Math.round((sent - failed) / took) })}\n`);
process.exit(0);
