/** A TCP proxy that can cut connections, or let them fall silent as a firewall does that forgets them. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Everything that the client has sent so far on this connection, up to 64 KB. */
  sent: string;
  silent: boolean;
}

export class TcpProxy {
  readonly #server: Server;
  readonly #target: URL;
  readonly #pairs = new Set<Pair>();
  #closed = false;

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((client) => this.#accept(client));
  }

  static async start(target: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `${this.#target.protocol}//127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Connections that are not silenced and whose client has sent `text`. */
  carrying(text: string): number {
    return this.#chosen(text).length;
  }

  /** From now on nothing passes on the present connections whose client has sent `text`; they stay open. */
  silence(text = ''): void {
    for (const pair of this.#chosen(text)) pair.silent = true;
  }

  #chosen(text: string): Pair[] {
    return [...this.#pairs].filter(({ sent, silent }) => !silent && sent.includes(text));
  }

  /** Closes every connection and refuses new ones until `restore`. */
  cut(): void {
    this.#closed = true;
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
  }

  restore(): void {
    this.#closed = false;
  }

  stop(): void {
    this.cut();
    this.#server.close();
  }

  #accept(client: Socket): void {
    if (this.#closed) return void client.destroy();
    const pair: Pair = {
      client,
      server: connect(Number(this.#target.port), this.#target.hostname),
      sent: '',
      silent: false,
    };
    this.#pairs.add(pair);
    const { server } = pair;
    client.on('data', (chunk) => {
      if (pair.sent.length < 65_536) pair.sent += chunk.toString('latin1');
      if (!pair.silent) server.write(chunk);
    });
    server.on('data', (chunk) => {
      if (!pair.silent) client.write(chunk);
    });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => undefined);
      one.on('close', () => {
        this.#pairs.delete(pair);
        // A connection that fell silent does not even say that it ended.
        if (!pair.silent || one === client) other.destroy();
      });
    }
  }
}
