/**
 * A small TCP server and its client, to see whether a path carries real data. Stands alone (only `node:` imports), since it runs as one
 * file inside a service's network namespace, which has nothing but Node.
 *
 * The client's first line says what it wants: ECHO sends everything back, SINK counts it, GET answers as a web server, for curl.
 * The server's first line says who it is and who it thinks is calling.
 */
import { randomBytes } from 'node:crypto';
import { createServer, connect as open, type Socket } from 'node:net';

const MAX_LINE_BYTES = 1024;
/** Enough for full segments both ways: a path whose MTU is wrong lets the small ones through and stops here. */
const ECHO_BYTES = 256 * 1024;
const ROUND_TRIPS = 31;
/** Throughput ends at whichever comes first. */
const BULK_BYTES = 64 * 1024 * 1024;
const BULK_MS = 1000;
const CHUNK_BYTES = 256 * 1024;
/** Connecting, and silence in the middle: three retransmissions of a first SYN are 1, 3 and 7 seconds after it. */
const PATIENCE_MS = 6000;

export interface Measured {
  /** Name of the stack that answered. */
  readonly server: string;
  /** Source address that it saw. */
  readonly seenAs: string;
  /** Median of several requests of one byte. */
  readonly roundTripMs: number;
  readonly bitsPerSecond: number;
}

/** Reads up to the first line feed; what follows belongs to the one who reads next. */
function firstLine(socket: Socket): Promise<{ line: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(10);
      if (end < 0 && head.length <= MAX_LINE_BYTES) return;
      socket.off('data', onData);
      if (end < 0) return reject(new Error('the line is too long'));
      socket.pause();
      resolve({ line: head.subarray(0, end).toString().trim(), rest: head.subarray(end + 1) });
    };
    socket.on('data', onData);
    socket.once('close', () => reject(new Error('the connection was closed')));
    // A new listener does not wake a socket that was paused.
    socket.resume();
  });
}

function sink(socket: Socket, first: number): void {
  let bytes = first;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  socket.on('end', () => socket.end(`${bytes}\n`));
}

async function serve(socket: Socket, name: string): Promise<void> {
  socket.on('error', () => socket.destroy());
  socket.setNoDelay(true);
  const greeting = { server: name, seenAs: socket.remoteAddress?.replace('::ffff:', '') ?? '' };
  const { line, rest } = await firstLine(socket);
  if (line.startsWith('GET ')) {
    const text = `This is ${greeting.server}; you are ${greeting.seenAs}.\n`;
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`);
    return;
  }
  socket.write(`${JSON.stringify(greeting)}\n`);
  if (line === 'ECHO') {
    socket.write(rest);
    socket.pipe(socket);
  } else sink(socket, rest.length);
  socket.resume();
}

function listen(port: number, name: string): void {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    serve(socket, name).catch(() => socket.destroy());
  });
  server.listen(port, '0.0.0.0', () => process.stdout.write(`${name} listens on port ${port}\n`));
  process.on('SIGTERM', () => process.exit(0));
}

/** A connection on which the server has said who it is. */
async function call(address: string, port: number, command: string): Promise<{ socket: Socket; greeting: string }> {
  const socket = open({ host: address, port, noDelay: true, allowHalfOpen: true });
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`no answer within ${PATIENCE_MS / 1000} s`)));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const failed = new Promise<never>((_, reject) => socket.once('error', reject));
  failed.catch(() => undefined);
  socket.write(`${command}\n`);
  const { line } = await Promise.race([firstLine(socket), failed]);
  return { socket, greeting: line };
}

/** Sends bytes and waits until as many came back. @throws when others came back, or none. */
async function exchange(socket: Socket, sent: Buffer): Promise<void> {
  const back = await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      if (length < sent.length) return;
      socket.off('data', onData);
      socket.off('error', reject);
      resolve(Buffer.concat(chunks));
    };
    socket.on('data', onData);
    socket.once('error', reject);
    socket.resume();
    socket.write(sent);
  });
  if (!back.equals(sent)) throw new Error('what came back differs from what was sent');
}

async function echo(address: string, port: number): Promise<Omit<Measured, 'bitsPerSecond'>> {
  const { socket, greeting } = await call(address, port, 'ECHO');
  await exchange(socket, randomBytes(ECHO_BYTES));
  const times: number[] = [];
  for (let i = 0; i < ROUND_TRIPS; i += 1) {
    const started = performance.now();
    await exchange(socket, Buffer.from([i]));
    times.push(performance.now() - started);
  }
  socket.destroy();
  times.sort((a, b) => a - b);
  return { ...(JSON.parse(greeting) as { server: string; seenAs: string }), roundTripMs: times[ROUND_TRIPS >> 1]! };
}

/** Bits per second until the other side has counted every byte. */
async function bulk(address: string, port: number): Promise<number> {
  const { socket } = await call(address, port, 'SINK');
  const chunk = randomBytes(CHUNK_BYTES);
  const failed = new Promise<never>((_, reject) => socket.once('error', reject));
  failed.catch(() => undefined);
  const started = performance.now();
  let sent = 0;
  while (sent < BULK_BYTES && performance.now() - started < BULK_MS) {
    sent += chunk.length;
    if (!socket.write(chunk)) {
      await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), failed]);
    }
  }
  socket.end();
  const { line } = await Promise.race([firstLine(socket), failed]);
  const seconds = (performance.now() - started) / 1000;
  if (Number(line) !== sent) throw new Error(`${sent} bytes were sent, ${line} arrived`);
  return (sent * 8) / seconds;
}

/** Measures a path and prints one line of JSON: what was measured, or `{ "error": ... }`. */
async function measure(address: string, port: number): Promise<void> {
  try {
    const measured: Measured = { ...(await echo(address, port)), bitsPerSecond: await bulk(address, port) };
    process.stdout.write(`${JSON.stringify(measured)}\n`);
  } catch (cause) {
    process.stdout.write(`${JSON.stringify({ error: (cause as Error).message })}\n`);
    process.exitCode = 1;
  }
}

const [command, ...operands] = process.argv.slice(2);
if (command === 'serve') listen(Number(operands[0]), operands[1]!);
else await measure(operands[0]!, Number(operands[1]));
