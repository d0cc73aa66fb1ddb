/** Listens for DNS on one address, by UDP and TCP. Knows bytes, lengths and limits; what to answer is the handler's. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { Allowance } from './allowance.ts';
import { DNS_PORT } from './ask.ts';
import { MAX_QUERY_BYTES } from './message.ts';
import type { Request } from './resolver.ts';

/** Questions that wait for an answer, all clients together; each may hold a socket. */
const MAX_PENDING = 256;
const MAX_CONNECTIONS = 64;
const MAX_CONNECTIONS_PER_CLIENT = 8;
/** Answers that a client has not yet taken, in bytes: one who asks and never reads must not fill the memory. */
const MAX_UNREAD_BYTES = 262_144;
/** RFC 7766 section 6.2.3: idle connections are closed, on the order of seconds. */
const IDLE_MS = 5000;

export interface Handler {
  /** Whether this source address may ask at all. Others get no answer, not even a refusal that could be sent to a third. */
  admits(source: string): boolean;
  /** undefined: no answer. Must not reject. */
  answer(request: Request): Promise<Buffer | undefined>;
  now(): number;
}

export class DnsServerSockets {
  readonly #handler: Handler;
  readonly #allowance = new Allowance();
  readonly #udp: UdpSocket = createSocket('udp4');
  readonly #tcp: Server = createServer((socket) => this.#accept(socket));
  readonly #connections = new Set<Socket>();
  #pending = 0;

  constructor(handler: Handler) {
    this.#handler = handler;
    this.#tcp.maxConnections = MAX_CONNECTIONS;
    this.#udp.on('message', (bytes, from) => void this.#onDatagram(bytes, from));
  }

  /** @throws the system's error (EACCES, EADDRINUSE, EADDRNOTAVAIL); nothing listens then. */
  async listen(address: string, port = DNS_PORT): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#udp.once('error', reject);
        this.#udp.bind(port, address, resolve);
      });
      await new Promise<void>((resolve, reject) => {
        this.#tcp.once('error', reject);
        this.#tcp.listen(port, address, resolve);
      });
    } catch (cause) {
      this.close();
      throw cause;
    }
    // An answer that could not be sent (ECONNREFUSED, ENETUNREACH) is its client's loss.
    this.#udp.on('error', () => undefined);
    this.#tcp.on('error', () => undefined);
  }

  close(): void {
    // Either throws when it never came to listen.
    for (const end of [() => this.#udp.close(), () => this.#tcp.close()]) {
      try {
        end();
      } catch {
        // Closed already.
      }
    }
    for (const socket of this.#connections) socket.destroy();
  }

  async #answer(request: Request): Promise<Buffer | undefined> {
    const { source } = request;
    if (this.#pending >= MAX_PENDING || !this.#allowance.takes(source, this.#handler.now())) return undefined;
    this.#pending += 1;
    try {
      return await this.#handler.answer(request);
    } finally {
      this.#pending -= 1;
    }
  }

  async #onDatagram(bytes: Buffer, { address, port }: { address: string; port: number }): Promise<void> {
    if (!this.#handler.admits(address)) return;
    const answer = await this.#answer({ bytes, source: address, transport: 'udp' });
    // The socket may have been closed meanwhile.
    if (answer) this.#sendDatagram(answer, port, address);
  }

  #sendDatagram(answer: Buffer, port: number, address: string): void {
    try {
      this.#udp.send(answer, port, address, () => undefined);
    } catch {
      // Closed.
    }
  }

  #accept(socket: Socket): void {
    const source = socket.remoteAddress ?? '';
    const others = [...this.#connections].filter(({ remoteAddress }) => remoteAddress === source).length;
    if (!this.#handler.admits(source) || others >= MAX_CONNECTIONS_PER_CLIENT) return void socket.destroy();
    this.#connections.add(socket);
    socket.on('close', () => this.#connections.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    void this.#converse(socket, source).catch(() => socket.destroy());
  }

  /** One message after the other (RFC 1035 section 4.2.2: each has its length before it, in two bytes). */
  async #converse(socket: Socket, source: string): Promise<void> {
    let received = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer]);
      while (received.length >= 2) {
        const length = received.readUInt16BE(0);
        if (length > MAX_QUERY_BYTES) return void socket.destroy();
        if (received.length < 2 + length) break;
        const bytes = received.subarray(2, 2 + length);
        received = received.subarray(2 + length);
        const answer = await this.#answer({ bytes, source, transport: 'tcp' });
        if (!answer || socket.writableLength > MAX_UNREAD_BYTES) return void socket.destroy();
        const head = Buffer.alloc(2);
        head.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([head, answer]));
      }
    }
  }
}
