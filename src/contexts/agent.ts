/**
 * Runs in a container without a network on every host and measures what is between the hosts, with the router's own means: a VXLAN device
 * whose UDP socket is in the host's namespace. So a port that a running stack uses already can be tested as well.
 * The device drops what the path would have to fragment; each packet size has neighbours of its own, since Linux would cut up
 * the second packet to an address for which the first one has taught it a smaller MTU.
 */
import { spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, PACKET_OVERHEAD, type Peer, type Request } from './agent-protocol.ts';

const DEVICE = 'drqcheck';
const HANDLE = 'underlay';
const UDP_PORT = 9009;
/** RFC 2544: 198.18.0.0/15 is for measurements. The namespace holds nothing else that it could collide with. */
const inner = (sizeIndex: number, host: number) => `198.18.${sizeIndex}.${host}`;
const mac = (host: number) => `02:47:00:00:00:${host.toString(16).padStart(2, '0')}`;
const GAP_MS = 2;

let own = 0;
let peers: readonly Peer[] = [];
const sizeIndexes = new Map<number, number>();
const received: Record<string, Record<string, number>> = {};

function ip(program: string, lines: readonly string[]): void {
  const { status, stderr } = spawnSync(program, ['-batch', '-'], { input: `${lines.join('\n')}\n`, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr?.trim().split('\n')[0] || `${program} failed`);
}

const taken = (error: unknown) => /File exists|already exists|Address already in use/.test((error as Error).message);

function makeDevice(request: Request & { ask: 'device' }): Answer {
  const { handle, vni, ports, local, index, mtu } = request;
  own = index;
  if (handle) spawnSync('ip', ['netns', 'set', HANDLE, 'auto']);
  let last: unknown;
  for (const port of ports) {
    try {
      const where = handle ? `link-netns ${HANDLE} ` : '';
      ip('ip', [
        `link add ${DEVICE} address ${mac(index)} mtu ${mtu} ${where}type vxlan id ${vni} dstport ${port} nolearning local ${local} df set`,
      ]);
      ip('ip', [`link set ${DEVICE} up`]);
      return { port };
    } catch (cause) {
      last = cause;
      spawnSync('ip', ['link', 'del', DEVICE]);
      if (!taken(cause)) break;
    }
  }
  return { error: (last as Error).message };
}

function meet(request: Request & { ask: 'peers' }): Answer {
  peers = request.peers;
  for (const [i, size] of request.sizes.entries()) sizeIndexes.set(size, i);
  const indexes = [...sizeIndexes.values()];
  ip('ip', [
    ...indexes.map((i) => `address add ${inner(i, own)}/24 dev ${DEVICE}`),
    ...peers.flatMap(({ index }) =>
      indexes.map((i) => `neighbour add ${inner(i, index)} lladdr ${mac(index)} dev ${DEVICE} nud permanent`),
    ),
  ]);
  ip(
    'bridge',
    peers.map(({ index, address, port }) => `fdb append ${mac(index)} dev ${DEVICE} dst ${address} port ${port}`),
  );
  return {};
}

async function send(socket: Socket, { sizes, bursts }: Request & { ask: 'send' }): Promise<Answer> {
  let error: string | undefined;
  for (const size of sizes) {
    const sizeIndex = sizeIndexes.get(size)!;
    const datagram = Buffer.alloc(size - PACKET_OVERHEAD);
    datagram.write(`${own} ${size} `);
    for (const { index } of peers) {
      for (let i = 0; i < bursts; i += 1) {
        socket.send(datagram, UDP_PORT, inner(sizeIndex, index), (cause) => {
          if (cause) error = cause.message;
        });
      }
    }
    await sleep(GAP_MS);
  }
  return error ? { error } : {};
}

function count(datagram: Buffer): void {
  const [from, size] = datagram.toString('latin1', 0, 32).split(' ');
  if (!from || !size) return;
  received[from] ??= {};
  received[from][size] = (received[from][size] ?? 0) + 1;
}

async function answer(socket: Socket, request: Request): Promise<Answer> {
  switch (request.ask) {
    case 'clock':
      return { now: Date.now() };
    case 'device':
      return makeDevice(request);
    case 'peers':
      return meet(request);
    case 'send':
      return send(socket, request);
    case 'received':
      return { received };
  }
}

const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
socket.on('message', count);
socket.bind(UDP_PORT);
const lines = createInterface({ input: process.stdin });
lines.on('line', async (line) => {
  const reply = await answer(socket, JSON.parse(line) as Request).catch(
    (cause: Error): Answer => ({ error: cause.message }),
  );
  process.stdout.write(`${JSON.stringify(reply)}\n`);
});
// Nobody listens any more: the desk has gone.
lines.on('close', () => process.exit(0));
process.stdout.write('{}\n');
