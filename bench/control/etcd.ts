/** A real etcd of one member, and a bare watch on it: the transport that the etcd row is measured beyond. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { StackRecord } from '../../src/record/record.ts';
import { encode, everythingBelow, recordKey } from '../../src/sources/etcd/keys.ts';
import { freshFolder } from './namespaces.ts';
import { until } from './processes.ts';

export const ENDPOINT = 'http://127.0.0.1:2379';
const PREFIX = '/docker-router/discovery';

async function call(path: string, body: unknown): Promise<IncomingMessage> {
  const sent = request(new URL(path, ENDPOINT), { method: 'POST' });
  sent.setNoDelay(true);
  sent.end(JSON.stringify(body));
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

/** One whole answer. @throws Error when etcd refuses or is not there. */
async function ask(path: string, body: unknown): Promise<void> {
  const response = await call(path, body);
  response.resume();
  await once(response, 'end');
  if (response.statusCode !== 200) throw new Error(`etcd: status ${response.statusCode} for ${path}`);
}

export class Etcd {
  readonly #waiting = new Map<string, (at: number) => void>();

  /** It ends with the namespaces of the measurement. @throws Error when there is no etcd, or it does not serve within 20 s. */
  static async start(): Promise<Etcd> {
    const child = spawn('etcd', ['--data-dir', freshFolder(), '--log-level', 'error'], { stdio: 'ignore' });
    await once(child, 'spawn');
    let serves: true | undefined;
    const knock = setInterval(() => {
      ask('/v3/kv/range', { key: encode('x') }).then(
        () => {
          serves = true;
        },
        () => undefined,
      );
    }, 50);
    await until(20, 'etcd serves', () => serves, 20).finally(() => clearInterval(knock));
    const etcd = new Etcd();
    await etcd.#watch();
    return etcd;
  }

  /** Puts a stack's record. Resolves with the moment at which a watch told of it, in milliseconds of `performance.now()`. */
  async put(record: StackRecord): Promise<number> {
    const key = encode(recordKey(PREFIX, record.stack_id));
    const told = new Promise<number>((resolve) => this.#waiting.set(key, resolve));
    await ask('/v3/kv/put', { key, value: encode(JSON.stringify(record)) });
    return told;
  }

  async #watch(): Promise<void> {
    const answer = await call('/v3/watch', { create_request: everythingBelow(PREFIX) });
    answer.on('data', (chunk: Buffer) => {
      const at = performance.now();
      for (const line of chunk.toString().split('\n').filter(Boolean)) {
        const events = (JSON.parse(line) as { result: { events?: { kv: { key: string } }[] } }).result.events ?? [];
        for (const { kv } of events) this.#waiting.get(kv.key)?.(at);
      }
    });
  }
}
