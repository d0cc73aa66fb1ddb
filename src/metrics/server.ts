/** `/metrics` and `/healthz`, read-only, on given addresses. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { HealthFile } from '../process/health.ts';
import { CONTENT_TYPE } from './exposition.ts';

/** Where `auto` begins. Two stacks of a host have a discovery each on its loopback address. */
export const FIRST_PORT = 9471;
const TRIES = 100;
const MAX_CONNECTIONS = 32;
const TEXT = 'text/plain; charset=utf-8';

export interface Endpoint {
  readonly addresses: readonly string[];
  readonly port: number | 'auto';
  /** Whether this source address may ask at all. Others get no byte. */
  readonly admits: (remote: string) => boolean;
  /** Whether a client may call us by this name (the Host header, without its port). */
  readonly answersTo: (name: string) => boolean;
  /** The text of /metrics. */
  readonly metrics: () => Promise<string>;
  readonly health: Pick<HealthFile, 'current'>;
}

export class MetricsServer {
  readonly #endpoint: Endpoint;
  readonly #servers: readonly Server[];
  #rendering: Promise<string> | undefined;

  private constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.#servers = endpoint.addresses.map(() => {
      const options = { requestTimeout: 5000, headersTimeout: 5000, keepAliveTimeout: 5000, maxHeaderSize: 8192 };
      const server = createServer(options, (request, response) => void this.#serve(request, response));
      server.maxConnections = MAX_CONNECTIONS;
      server.setTimeout(10_000);
      server.on('connection', (socket: Socket) => {
        if (!endpoint.admits(socket.remoteAddress ?? '')) socket.destroy();
      });
      return server;
    });
  }

  /** @throws the system's error (EADDRINUSE, EADDRNOTAVAIL, EACCES); nothing listens then. */
  static async open(endpoint: Endpoint): Promise<MetricsServer> {
    const { port } = endpoint;
    if (port !== 'auto') return MetricsServer.#openAt(endpoint, port);
    for (let next = FIRST_PORT; ; next += 1)
      try {
        return await MetricsServer.#openAt(endpoint, next);
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE' || next >= FIRST_PORT + TRIES) throw cause;
      }
  }

  static async #openAt(endpoint: Endpoint, port: number): Promise<MetricsServer> {
    const opened = new MetricsServer(endpoint);
    try {
      for (const [index, server] of opened.#servers.entries())
        await new Promise<void>((resolve, reject) => {
          server.once('error', reject);
          server.listen(port, endpoint.addresses[index], resolve);
        });
      return opened;
    } catch (cause) {
      opened.close();
      throw cause;
    }
  }

  get urls(): string[] {
    return this.#servers.map((server) => {
      const { address, port } = server.address() as AddressInfo;
      return `http://${address}:${port}/metrics`;
    });
  }

  close(): void {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = (status: number, body: string, type = TEXT) => {
      response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
      response.end(body);
    };
    try {
      // Another name that leads here is a page elsewhere that wants to read ours (DNS rebinding).
      const name = (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
      if (!this.#endpoint.answersTo(name)) return answer(421, 'ask by address\n');
      if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'read only\n');
      const path = (request.url ?? '').split('?')[0];
      if (path === '/metrics') return answer(200, await this.#render(), CONTENT_TYPE);
      if (path !== '/healthz') return answer(404, 'there are /metrics and /healthz\n');
      const { status, message } = this.#endpoint.health.current;
      answer(status === 'ok' ? 200 : 503, `${status}: ${message}\n`);
    } catch (cause) {
      answer(500, `${(cause as Error).message}\n`);
    }
  }

  /** Who asks while an answer is in the making shares it. */
  #render(): Promise<string> {
    this.#rendering ??= this.#endpoint.metrics().finally(() => {
      this.#rendering = undefined;
    });
    return this.#rendering;
  }
}
