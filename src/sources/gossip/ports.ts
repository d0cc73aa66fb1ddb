/** Ports of this host: which are free, and whether somebody listens on one elsewhere. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';

const MAX_PORT = 65_535;

/** Takes and releases a TCP port; 0 lets the system choose. @returns the port. @throws EADDRINUSE, EADDRNOTAVAIL ... */
export async function tryTcp(address: string, port: number): Promise<number> {
  const server = createServer();
  server.listen({ host: address, port, exclusive: true });
  await once(server, 'listening');
  const bound = (server.address() as { port: number }).port;
  server.close();
  await once(server, 'close');
  return bound;
}

async function tryUdp(address: string, port: number): Promise<void> {
  const socket = createSocket('udp4');
  try {
    socket.bind({ address, port, exclusive: true });
    await once(socket, 'listening');
  } finally {
    socket.close();
  }
}

/** A port that no other stack of this host takes until it is released. */
export interface Reservation {
  readonly port: number;
  release(): void;
}

/**
 * Between the look whether a port is free and the start of the agent another stack may look too: they agree by a name that only one
 * can hold, an abstract Unix socket (unix(7)) of the network namespace that they share. It ends with the process, however it ends.
 */
async function lock(port: number): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  server.listen({ path: `\0docker-router-gossip-${port}` });
  try {
    await once(server, 'listening');
    server.unref();
    return server;
  } catch {
    return undefined;
  }
}

/**
 * The first of `candidates` that is free on `address` for both UDP and TCP, since gossip uses both; undefined when none is.
 * @throws EADDRNOTAVAIL when no interface owns the address.
 */
export async function reservePort(address: string, candidates: readonly number[]): Promise<Reservation | undefined> {
  for (const port of candidates) {
    const held = await lock(port);
    if (!held) continue;
    try {
      await tryTcp(address, port);
      await tryUdp(address, port);
      return { port, release: () => void held.close() };
    } catch (cause) {
      held.close();
      if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    }
  }
  return undefined;
}

/** `first` and the ports after it, the preferred one (if it is among them) before all others. */
export function candidatePorts(first: number, count: number, preferred: number | undefined): number[] {
  const ports = Array.from({ length: Math.min(count, MAX_PORT - first + 1) }, (_, i) => first + i);
  const isPreferred = (port: number) => Number(port === preferred);
  return ports.sort((a, b) => isPreferred(b) - isPreferred(a) || a - b);
}

/** Whether something accepts TCP connections at `IP:PORT`. Nothing is sent. Never rejects. */
export async function knock(endpoint: string, withinMs: number, signal: AbortSignal): Promise<boolean> {
  const [host, port] = endpoint.split(':');
  const socket = connect({ host, port: Number(port) });
  try {
    await once(socket, 'connect', { signal: AbortSignal.any([signal, AbortSignal.timeout(withinMs)]) });
    return true;
  } catch {
    return false;
  } finally {
    socket.on('error', () => undefined);
    socket.destroy();
  }
}
