// Runs in a container on a host's network: listens to discovery's group, then sends what it heard again, and what it made of it.
//   node attacker.mjs HOST_IP LISTEN_SECONDS COUNT        records, sends COUNT of each kind, prints how many datagrams it heard
//   node attacker.mjs HOST_IP hold FILE SECONDS           records into FILE
//   node attacker.mjs HOST_IP replay FILE COUNT           sends what is in FILE
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const GROUP = '239.1.1.1';
const PORT = 4790;
const [hostIp, ...words] = process.argv.slice(2);

const socket = createSocket({ type: 'udp4', reuseAddr: true });
await new Promise((resolve) => socket.bind(PORT, GROUP, resolve));
socket.addMembership(GROUP, hostIp);
socket.setMulticastInterface(hostIp);

async function listen(seconds) {
  const heard = [];
  const note = (bytes) => heard.push(bytes);
  socket.on('message', note);
  await sleep(seconds * 1000);
  socket.off('message', note);
  return heard;
}

async function send(count, make) {
  for (let index = 0; index < count; index += 1) {
    await new Promise((resolve) => socket.send(make(index), PORT, GROUP, () => resolve()));
    // The receivers' buffers are small; what the kernel drops tests nothing.
    if (index % 20 === 19) await sleep(1);
  }
}

const KINDS = (heard) => {
  const pick = (index) => heard[index % heard.length];
  return [
    (index) => pick(index),
    (index) => Buffer.concat([pick(index).subarray(0, 17), randomBytes(pick(index).length - 17)]),
    (index) => pick(index).subarray(0, index % pick(index).length),
    (index) => {
      const flipped = Buffer.from(pick(index));
      const bit = index % (flipped.length * 8);
      flipped[bit >> 3] ^= 1 << (bit & 7);
      return flipped;
    },
    (index) =>
      Buffer.from(
        JSON.stringify({
          docker_router: 1,
          type: 'announce',
          interval_ms: 1000,
          record: {
            stack_id: `evil-${index % 100}`,
            vni: 1000,
            host_ip: hostIp,
            subnets: ['172.26.0.0/24'],
            gateway_ip: '172.26.0.2',
            vtep_mac: '02:00:00:00:00:01',
            vxlan_port: 4789,
            instance: '0123456789abcdef',
            since: 1,
            boot: Date.now(),
            seq: index,
          },
        }),
      ),
  ];
};

if (words[0] === 'hold') {
  const heard = await listen(Number(words[2]));
  writeFileSync(words[1], JSON.stringify(heard.map((bytes) => bytes.toString('base64'))));
  console.log(heard.length);
} else if (words[0] === 'replay') {
  const heard = JSON.parse(readFileSync(words[1], 'utf8')).map((text) => Buffer.from(text, 'base64'));
  await send(Number(words[2]), (index) => heard[index % heard.length]);
  console.log(heard.length);
} else {
  const heard = await listen(Number(words[0]));
  for (const make of KINDS(heard)) await send(Number(words[1]), make);
  console.log(heard.length);
}
socket.close();
