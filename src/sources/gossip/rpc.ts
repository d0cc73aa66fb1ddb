/** A connection to the RPC of a Serf agent on this host. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { decodeMultiStream } from '@msgpack/msgpack';
import type * as v from 'valibot';
import { parseWith } from '../../record/record.ts';
import {
  type Command,
  DECODER_LIMITS,
  encodeRequest,
  HeaderSchema,
  hasBody,
  MAX_MESSAGE_BYTES,
  RPC_VERSION,
} from './rpc-codec.ts';

const CONNECT_MS = 1000;
const HANDSHAKE_MS = 5000;

interface Waiting {
  readonly command: Command;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (cause: Error) => void;
}

interface Answer {
  /** Empty when the command succeeded. */
  readonly error: string;
  readonly body: unknown;
}

/** Serf understood the command and did not do it, in its own words; the connection goes on. */
export class RpcRefusal extends Error {}

export class RpcConnection {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #seq = 0;
  #dead: Error | undefined;
  /** Bytes since the last whole object. */
  #bytes = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    // The reader below hears of it as well.
    socket.on('error', () => undefined);
    void this.#read();
  }

  /** @throws when nothing listens there, or it is not a Serf agent that knows the token. */
  static async open(port: number, token: string): Promise<RpcConnection> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    try {
      await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_MS) });
    } catch (cause) {
      socket.destroy();
      throw cause;
    }
    const connection = new RpcConnection(socket);
    try {
      await connection.call('handshake', { Version: RPC_VERSION }, HANDSHAKE_MS);
      await connection.call('auth', { AuthKey: token }, HANDSHAKE_MS);
    } catch (cause) {
      connection.close();
      throw cause;
    }
    return connection;
  }

  /** Sends a command and waits for its answer. @throws RpcRefusal; any other Error ends the connection. */
  async call(
    command: Command,
    body: Readonly<Record<string, unknown>> | undefined,
    withinMs: number,
  ): Promise<unknown> {
    const { error, body: answer } = await this.#ask(command, body, withinMs);
    if (error !== '') throw new RpcRefusal(error);
    return answer;
  }

  /** The same for a command whose answer has a body. @throws as `call`, and when the body is not what it should be. */
  async ask<S extends v.GenericSchema>(
    command: Command,
    body: Readonly<Record<string, unknown>> | undefined,
    schema: S,
    withinMs: number,
  ): Promise<v.InferOutput<S>> {
    const parsed = parseWith(schema, await this.call(command, body, withinMs));
    if (!parsed.ok) throw new Error(`Serf's answer to ${command} is malformed: ${parsed.error}`);
    return parsed.value;
  }

  close(): void {
    this.#end(new Error('closed'));
  }

  async #ask(command: Command, body: Readonly<Record<string, unknown>> | undefined, withinMs: number): Promise<Answer> {
    if (this.#dead) throw this.#dead;
    this.#seq += 1;
    const seq = this.#seq;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<Answer>((resolve, reject) => {
        this.#waiting.set(seq, { command, resolve, reject });
        // Answers come in order, so after one that never came the others could not be told apart.
        timer = setTimeout(
          () => this.#end(new Error(`Serf did not answer ${command} within ${withinMs} ms`)),
          withinMs,
        );
        this.#socket.write(encodeRequest(seq, command, body));
      });
    } finally {
      clearTimeout(timer);
    }
  }

  async #read(): Promise<void> {
    try {
      const objects = decodeMultiStream<undefined>(this.#chunks(), DECODER_LIMITS)[Symbol.asyncIterator]();
      for (let next = await objects.next(); !next.done; next = await objects.next()) {
        this.#bytes = 0;
        const header = parseWith(HeaderSchema, next.value);
        if (!header.ok) throw new Error(`malformed header: ${header.error}`);
        const waiting = this.#waiting.get(header.value.Seq);
        if (!waiting) throw new Error(`an answer to nothing: ${header.value.Seq}`);
        const body = hasBody(waiting.command) ? (await objects.next()).value : undefined;
        this.#bytes = 0;
        this.#waiting.delete(header.value.Seq);
        waiting.resolve({ error: header.value.Error, body });
      }
      throw new Error('Serf closed the connection');
    } catch (cause) {
      this.#end(cause as Error);
    }
  }

  async *#chunks(): AsyncGenerator<Buffer> {
    for await (const chunk of this.#socket) {
      this.#bytes += (chunk as Buffer).length;
      if (this.#bytes > MAX_MESSAGE_BYTES) throw new Error(`an answer of more than ${MAX_MESSAGE_BYTES} bytes`);
      yield chunk as Buffer;
    }
  }

  #end(cause: Error): void {
    this.#dead ??= new Error(`RPC of Serf: ${cause.message}`);
    for (const waiting of this.#waiting.values()) waiting.reject(this.#dead);
    this.#waiting.clear();
    this.#socket.destroy();
  }
}
