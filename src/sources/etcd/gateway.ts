/**
 * One endpoint's JSON gateway over node:http and node:https. Not `fetch`: that cannot be given a CA or a client certificate without the
 * undici package, and costs memory of its own. docs/decisions has the figures.
 */
import { readFile } from 'node:fs/promises';
import {
  type AgentOptions,
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { isIP, type Socket } from 'node:net';
import type * as v from 'valibot';
import type { EtcdTlsFiles } from '../../config/etcd-config.ts';
import { parseJson } from '../../record/record.ts';
import { LineSplitter } from './lines.ts';
import { RefusalSchema } from './messages.ts';
import { connectionTrouble, EtcdTrouble, refusal } from './trouble.ts';

/** Largest answer, and largest line of a stream. etcd's own limit for one value is 1.5 MB, 2 MB as base64. */
export const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
/** The kernel asks an idle peer whether it still lives, so that a firewall that forgets connections keeps ours. */
const TCP_KEEPALIVE_MS = 10_000;

export interface Call {
  readonly path: string;
  readonly body: unknown;
  readonly token: string | undefined;
  readonly timeoutMs: number;
}

export interface Stream {
  /** Rejects with an EtcdTrouble when the stream ends, however it does. */
  readonly ended: Promise<never>;
  close(): void;
}

/** TLS is loaded only where it is used: it costs more than a megabyte of memory. */
async function tlsAgent(files: EtcdTlsFiles, options: AgentOptions): Promise<HttpAgent> {
  const [{ Agent }, { createSecureContext }] = await Promise.all([import('node:https'), import('node:tls')]);
  const read = async (path: string | undefined) => (path === undefined ? undefined : await readFile(path));
  try {
    const [ca, cert, key] = await Promise.all([read(files.ca), read(files.cert), read(files.key)]);
    const secureContext = createSecureContext({ ca, cert, key, minVersion: 'TLSv1.2' });
    return new Agent({ ...options, secureContext });
  } catch (cause) {
    const what = (cause as Error).message.slice(0, 120);
    throw new EtcdTrouble('tls', `ETCD_CA_FILE, ETCD_CERT_FILE or ETCD_KEY_FILE cannot be used: ${what}`, cause);
  }
}

export class Gateway {
  readonly endpoint: string;
  readonly #agent: HttpAgent;

  private constructor(endpoint: string, agent: HttpAgent) {
    this.endpoint = endpoint;
    this.#agent = agent;
  }

  /** Connects nothing yet. @throws EtcdTrouble when a TLS file cannot be used. */
  static async open(endpoint: string, tls: EtcdTlsFiles): Promise<Gateway> {
    const options = { keepAlive: true, keepAliveMsecs: TCP_KEEPALIVE_MS, maxSockets: 8 };
    if (endpoint.startsWith('http:')) return new Gateway(endpoint, new HttpAgent(options));
    return new Gateway(endpoint, await tlsAgent(tls, options));
  }

  /** One question, one answer. @throws EtcdTrouble */
  async post<S extends v.GenericSchema>(schema: S, call: Call): Promise<v.InferOutput<S>> {
    const { status, text } = await this.#exchange(call).catch((cause) => {
      // A kept connection that etcd had closed meanwhile: every call of ours may safely be made twice.
      if (cause instanceof StaleConnection) return this.#exchange(call);
      throw cause;
    });
    if (status !== 200) throw refused(status, text);
    const answer = parseJson(schema, text, MAX_ANSWER_BYTES);
    if (!answer.ok) throw new EtcdTrouble('protocol', `answers, but not as etcd does: ${answer.error}`);
    return answer.value;
  }

  /** A question with one JSON answer a line, without end. `timeoutMs` holds until the first line. */
  stream(call: Call, onLine: (line: string) => void): Stream {
    let close = () => {};
    const ended = new Promise<never>((_, reject) => {
      const fail = (cause: Error) => reject(connectionTrouble(cause, this.endpoint));
      const request = this.#request(call, fail);
      const silence = setTimeout(() => request.destroy(late(request)), call.timeoutMs);
      close = () => {
        clearTimeout(silence);
        request.destroy();
      };
      const heard = (line: string) => {
        clearTimeout(silence);
        onLine(line);
      };
      request.once('response', (response) => this.#listen(response, heard, fail));
      onCloseWithoutResponse(request, fail);
    });
    // Whoever closes the stream is not interested in how it ended.
    ended.catch(() => undefined);
    return { ended, close: () => close() };
  }

  /** Ends every call and stream. */
  close(): void {
    this.#agent.destroy();
  }

  #listen(response: IncomingMessage, onLine: (line: string) => void, fail: (cause: Error) => void): void {
    response.once('error', fail);
    if (response.statusCode !== 200) {
      collect(response).then((text) => fail(refused(response.statusCode ?? 0, text)), fail);
      return;
    }
    const lines = new LineSplitter(MAX_ANSWER_BYTES);
    response.on('data', (chunk: Buffer) => {
      try {
        for (const line of lines.push(chunk)) onLine(line);
      } catch (cause) {
        response.destroy(cause as Error);
      }
    });
    response.once('end', () => fail(new EtcdTrouble('watch', 'it ended the stream')));
  }

  #exchange(call: Call): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const request = this.#request(call, (cause) => {
        const stale = request.reusedSocket && /^(ECONNRESET|EPIPE)$/.test(cause.code ?? '');
        reject(stale ? new StaleConnection() : connectionTrouble(cause, this.endpoint));
      });
      const timer = setTimeout(() => request.destroy(late(request)), call.timeoutMs);
      request.once('close', () => clearTimeout(timer));
      onCloseWithoutResponse(request, reject);
      request.once('response', (response) => {
        const status = response.statusCode ?? 0;
        collect(response).then(
          (text) => resolve({ status, text }),
          (cause) => reject(connectionTrouble(cause, this.endpoint)),
        );
      });
    });
  }

  #request(call: Call, failed: (cause: Error & { code?: string }) => void) {
    const body = Buffer.from(JSON.stringify(call.body));
    const { protocol, hostname, port } = new URL(this.endpoint);
    const options: RequestOptions = {
      method: 'POST',
      // With an agent for TLS, node:http does what node:https does.
      protocol,
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port,
      path: call.path,
      agent: this.#agent,
      headers: {
        'content-type': 'application/json',
        'content-length': body.length,
        // A member without a leader then says so at once instead of trying for 7 s (clientv3.WithRequireLeader).
        'grpc-metadata-hasleader': 'true',
        ...(call.token !== undefined && { authorization: call.token }),
      },
    };
    const request = httpRequest(options);
    request.setSocketKeepAlive(true, TCP_KEEPALIVE_MS);
    request.setNoDelay(true);
    request.on('error', failed);
    request.once('socket', noteLookup);
    request.end(body);
    return request;
  }
}

class StaleConnection extends EtcdTrouble {
  constructor() {
    super('unreachable', 'it closed the connection');
  }
}

/** Sockets whose host's name has been looked up. */
const lookedUp = new WeakSet<Socket>();

function noteLookup(socket: Socket): void {
  if (socket.connecting) socket.once('lookup', () => lookedUp.add(socket));
  else lookedUp.add(socket);
}

/** A name that is still being looked up is the DNS's trouble, not etcd's. */
function late({ socket, host }: ClientRequest): Error {
  const named = isIP(host.replace(/^\[|\]$/g, '')) !== 0 || (socket !== null && lookedUp.has(socket));
  return Object.assign(new Error('no answer in time'), { code: named ? 'ETIMEDOUT' : 'EAI_AGAIN' });
}

/** With a response, what it ends with is told by the response. */
function onCloseWithoutResponse(request: ClientRequest, fail: (cause: Error) => void): void {
  const closed = () => fail(new EtcdTrouble('unreachable', 'it closed the connection'));
  request.once('close', closed);
  request.once('response', () => request.off('close', closed));
}

function refused(status: number, text: string): EtcdTrouble {
  const body = parseJson(RefusalSchema, text, MAX_ANSWER_BYTES);
  return refusal(status, body.ok ? body.value : undefined);
}

async function collect(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new EtcdTrouble('too large', `answers with more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
