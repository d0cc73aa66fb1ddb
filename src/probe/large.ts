/** Whether packets as large as the tunnel takes reach the other routers and come back. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { randomHex } from '../process/random.ts';
import { decodeProbe, encodeProbe, PROBE_PORT } from './message.ts';

/** IPv4 and UDP headers. */
const HEADERS = 28;
const TRIES = 3;
const TRY_MS = 700;

/**
 * The kernel sends UDP with "don't fragment" (IP_PMTUDISC_WANT), so a datagram of exactly the tunnel's MTU stays whole.
 * @param from this router's gateway address
 * @param gateways of the routers to ask
 * @param mtu of the tunnel, in bytes
 * @returns those that answered
 * @throws Error when no socket can be opened on `from`
 */
export async function largePacketsPass(from: string, gateways: readonly string[], mtu: number): Promise<Set<string>> {
  const socket = createSocket('udp4');
  const answered = new Set<string>();
  const nonce = randomHex(8);
  socket.on('message', (bytes, { address }) => {
    if (decodeProbe(bytes)?.nonce === nonce && gateways.includes(address)) answered.add(address);
  });
  try {
    socket.bind(0, from);
    await once(socket, 'listening');
    const question = encodeProbe({ kind: 'question', nonce, wallMs: 0 }, mtu - HEADERS);
    for (let i = 0; i < TRIES && answered.size < gateways.length; i += 1) {
      for (const gateway of gateways)
        if (!answered.has(gateway)) socket.send(question, PROBE_PORT, gateway, () => undefined);
      await new Promise((resolve) => setTimeout(resolve, TRY_MS));
    }
  } finally {
    socket.close();
  }
  return answered;
}
