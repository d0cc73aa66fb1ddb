/** Serves a daemon's metrics where METRICS_PORT is set. A comfort: what keeps it from working keeps nothing else from working. */
import type { Logger } from '../process/log.ts';
import { type Endpoint, MetricsServer } from './server.ts';

export class Observation {
  readonly #log: Logger;
  #server: MetricsServer | undefined;
  #addresses = '';
  #said: string | undefined;
  #opening = false;
  #stopped = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Listens; or once more when it could not the last time, or the addresses are others. Never rejects. */
  async serve(endpoint: Endpoint): Promise<void> {
    const addresses = endpoint.addresses.join();
    const listening = this.#server !== undefined && addresses === this.#addresses;
    if (listening || addresses === '' || this.#opening || this.#stopped) return;
    this.#opening = true;
    try {
      this.#server?.close();
      this.#server = undefined;
      this.#server = await MetricsServer.open(endpoint);
      this.#addresses = addresses;
      this.#said = undefined;
      if (this.#stopped) this.#server.close();
      else this.#log.info(`metrics on ${this.#server.urls.join(', ')}`);
    } catch (cause) {
      this.#complain(endpoint, cause as NodeJS.ErrnoException);
    } finally {
      this.#opening = false;
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#server?.close();
  }

  #complain({ port }: Endpoint, { code, message }: NodeJS.ErrnoException): void {
    const remedy = code === 'EADDRINUSE' ? '; METRICS_PORT=auto takes the next free one' : '';
    const text = `no metrics: METRICS_PORT=${port}: ${message}${remedy}`;
    if (text !== this.#said) this.#log.error(text);
    this.#said = text;
  }
}
