/** One request, one answer: by UDP (RFC 1035 section 4.2.1) and by TCP (RFC 7766). Sockets live as long as a request. */
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import type { DnsServer } from '../../config/dns-config.ts';
import type { Parsed } from '../../record/record.ts';

/** Reads an answer; an error means that it is somebody else's or forged, so that the wait goes on. */
export type Reader<T> = (bytes: Buffer) => Parsed<T>;

export interface Exchange<T> {
  readonly server: DnsServer;
  readonly request: Buffer;
  readonly read: Reader<T>;
  readonly timeoutMs: number;
  /** Source address; the kernel's choice when left out. */
  readonly from?: string;
  readonly signal: AbortSignal;
}

/** The server did not answer; `message` says what came instead. */
export class NoAnswer extends Error {
  /** Worth another try: a datagram may have been lost. */
  readonly isTimeout: boolean;
  constructor(message: string, isTimeout = false) {
    super(message);
    this.isTimeout = isTimeout;
  }
}

export function label({ address, port }: DnsServer): string {
  const host = isIPv6(address) ? `[${address}]` : address;
  return port === 53 ? address : `${host}:${port}`;
}

interface Ends<T> {
  resolve(value: T): void;
  reject(cause: Error): void;
  /** What came and was no answer, for the message when nothing better comes. */
  ignored(why: string): void;
}

/** Settles once, by `begin`, by time or by the signal, and always calls what `begin` returned. */
async function settled<T>(
  { server, timeoutMs, signal }: Exchange<T>,
  begin: (ends: Ends<T>) => () => void,
): Promise<T> {
  let instead = '';
  let close: () => void = () => undefined;
  const cleanUp: (() => void)[] = [];
  try {
    return await new Promise<T>((resolve, reject) => {
      signal.throwIfAborted();
      const timer = setTimeout(
        () => reject(new NoAnswer(`no answer from ${label(server)} within ${timeoutMs / 1000} s${instead}`, true)),
        timeoutMs,
      );
      const aborted = () => reject(signal.reason);
      signal.addEventListener('abort', aborted);
      cleanUp.push(
        () => clearTimeout(timer),
        () => signal.removeEventListener('abort', aborted),
      );
      close = begin({ resolve, reject, ignored: (why) => (instead = `; what came was ignored: ${why}`) });
    });
  } finally {
    for (const undo of cleanUp) undo();
    close();
  }
}

function refused(server: DnsServer, cause: NodeJS.ErrnoException, transport: string): Error {
  const why = cause.code === 'ECONNREFUSED' ? `nothing listens there on ${transport}` : cause.message;
  return new NoAnswer(`no answer from ${label(server)}: ${why}`);
}

/**
 * A socket of its own for each request: the kernel picks a random source port, and being connected it takes datagrams from the
 * server alone (RFC 5452 section 9). @throws NoAnswer, or the signal's reason.
 */
export async function overUdp<T>(exchange: Exchange<T>): Promise<T> {
  const { server, request, read, from } = exchange;
  return settled(exchange, ({ resolve, reject, ignored }) => {
    const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
    socket.on('error', (cause: NodeJS.ErrnoException) => reject(refused(server, cause, 'UDP')));
    socket.on('message', (bytes) => {
      const answer = read(bytes);
      if (answer.ok) resolve(answer.value);
      else ignored(answer.error);
    });
    const send = () =>
      socket.connect(server.port, server.address, () => {
        socket.send(request, (cause) => cause && reject(refused(server, cause, 'UDP')));
      });
    if (from === undefined) send();
    else socket.bind(0, from, send);
    return () => socket.close();
  });
}

/** RFC 1035 section 4.2.2: each message has its length before it, in two bytes. @throws NoAnswer, or the signal's reason. */
export async function overTcp<T>(exchange: Exchange<T>): Promise<T> {
  const { server, request, read, from } = exchange;
  return settled(exchange, ({ resolve, reject }) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(request.length);
    const socket = connect({
      host: server.address,
      port: server.port,
      noDelay: true,
      ...(from !== undefined && { localAddress: from }),
    });
    let received = Buffer.alloc(0);
    socket.on('connect', () => socket.write(Buffer.concat([length, request])));
    socket.on('error', (cause: NodeJS.ErrnoException) => reject(refused(server, cause, 'TCP')));
    socket.on('end', () => reject(new NoAnswer(`${label(server)} closed the connection without an answer`)));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const answer = read(received.subarray(2, 2 + received.readUInt16BE(0)));
      if (answer.ok) resolve(answer.value);
      else reject(new NoAnswer(`no usable answer from ${label(server)}: ${answer.error}`));
    });
    return () => socket.destroy();
  });
}
