/** A DNS server on loopback that answers what a test wants, also what no server should. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import packet, { type DecodedPacket } from 'dns-packet';
import type { DnsServer } from '../../src/config/dns-config.ts';

/** The datagrams or messages that answer the nth request. */
export type Reply = (query: DecodedPacket, n: number) => readonly Buffer[];

export function reply(query: DecodedPacket, data: readonly string[], changes: Record<string, unknown> = {}): Buffer {
  const { id, questions } = query;
  const answers = data.map((target) => ({ name: questions[0]!.name, type: 'PTR', ttl: 1, data: target }));
  return packet.encode({ type: 'response', id, flags: 0x0400, questions, answers, ...changes } as Parameters<
    typeof packet.encode
  >[0]);
}

/** A server on one loopback port, by UDP and TCP, that answers each query with what the functions give. */
export class Fake {
  readonly asked: string[] = [];
  /** Source ports and ids of the queries by UDP. */
  readonly seen: { port: number; id: number }[] = [];
  readonly #udp: Socket = createSocket('udp4');
  readonly #tcp: Server = createServer();
  server: DnsServer = { address: '127.0.0.1', port: 0 };

  static async start(udp: Reply, tcp: Reply = () => []): Promise<Fake> {
    const fake = new Fake();
    fake.#udp.on('message', (bytes, from) => fake.#onDatagram(bytes, from, udp));
    fake.#tcp.on('connection', (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => {
        fake.asked.push('tcp');
        for (const answer of tcp(packet.decode(bytes.subarray(2)), fake.asked.length)) {
          const length = Buffer.from([answer.length >> 8, answer.length & 255]);
          // In pieces: a stream has no messages.
          for (const part of [length.subarray(0, 1), length.subarray(1), answer.subarray(0, 7), answer.subarray(7)])
            socket.write(part);
        }
      });
    });
    await new Promise<void>((resolve) => fake.#udp.bind(0, '127.0.0.1', resolve));
    const { port } = fake.#udp.address();
    await new Promise<void>((resolve) => fake.#tcp.listen(port, '127.0.0.1', resolve));
    fake.server = { address: '127.0.0.1', port };
    return fake;
  }

  #onDatagram(bytes: Buffer, { port }: RemoteInfo, udp: Reply): void {
    const query = packet.decode(bytes);
    this.asked.push('udp');
    this.seen.push({ port, id: query.id });
    for (const answer of udp(query, this.asked.length)) this.#udp.send(answer, port, '127.0.0.1');
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
  }
}
