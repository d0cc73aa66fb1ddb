/** Ports for servers that a test starts, and may start again on the same port. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below net.ipv4.ip_local_port_range (32768 and up): the kernel gives none of these to a connection, which could hold it while a server
 * that was stopped comes back, and gives none to two servers that have yet to bind.
 */
const FIRST = 20_000;
const COUNT = 10_000;
/** Of this process; another begins elsewhere, and who meets its port takes the next. */
let next = FIRST + (process.pid % COUNT);

async function isFree(port: number, host: string): Promise<boolean> {
  const tcp = createServer();
  const udp = createSocket('udp4');
  try {
    const bound = Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
    tcp.listen(port, host);
    udp.bind(port, host);
    await bound;
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  } finally {
    await Promise.all([new Promise((done) => tcp.close(done)), new Promise<void>((done) => udp.close(done))]);
  }
}

/** A port on which nothing listens at `host`, neither with TCP nor with UDP; never the same twice. @throws when there is none. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let tries = 0; tries < COUNT; tries += 1) {
    const port = next;
    next = FIRST + ((next - FIRST + 1) % COUNT);
    if (await isFree(port, host)) return port;
  }
  throw new Error(`no port of ${FIRST} to ${FIRST + COUNT - 1} is free at ${host}`);
}
