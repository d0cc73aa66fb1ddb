/** The few calls of etcd's v3 API that discovery needs, on one endpoint, logged in. Paths are those of etcd 3.4 and later. */
import type * as v from 'valibot';
import type { EtcdConfig } from '../../config/etcd-config.ts';
import { parseJson } from '../../record/record.ts';
import { Gateway, MAX_ANSWER_BYTES, type Stream } from './gateway.ts';
import { encode, everythingBelow } from './keys.ts';
import {
  AnySchema,
  AuthenticateSchema,
  GrantSchema,
  KeepAliveSchema,
  type KeyValue,
  RangeSchema,
  TxnSchema,
  type WatchEvent,
  WatchSchema,
} from './messages.ts';
import { answerTimeout } from './timing.ts';
import { EtcdTrouble, refusal } from './trouble.ts';

export interface Progress {
  readonly revision: number;
  readonly created: boolean;
  readonly events: readonly WatchEvent[];
}

export class EtcdClient {
  readonly #config: EtcdConfig;
  readonly #gateway: Gateway;
  readonly #timeoutMs: number;
  #token: string | undefined;

  private constructor(config: EtcdConfig, gateway: Gateway) {
    this.#config = config;
    this.#gateway = gateway;
    this.#timeoutMs = answerTimeout(config.leaseTtlMs);
  }

  /** @throws EtcdTrouble when a TLS file cannot be used. */
  static async open(config: EtcdConfig, endpoint: string): Promise<EtcdClient> {
    return new EtcdClient(config, await Gateway.open(endpoint, config.tls));
  }

  get endpoint(): string {
    return this.#gateway.endpoint;
  }

  /** Gets a token where there is a user. @throws EtcdTrouble */
  async login(): Promise<void> {
    const { username, password } = this.#config;
    if (username === undefined) return;
    try {
      const answer = await this.#gateway.post(AuthenticateSchema, {
        path: '/v3/auth/authenticate',
        body: { name: username, password },
        token: undefined,
        timeoutMs: this.#timeoutMs,
      });
      this.#token = answer.token;
    } catch (cause) {
      // Like etcd's own clients: an etcd that has authentication switched off needs no token.
      if (!(cause instanceof EtcdTrouble) || cause.kind !== 'auth off') throw cause;
      this.#token = undefined;
    }
  }

  /** Takes the lease's id as given, so that an answer that got lost leaves no second lease. Returns the time to live that etcd grants. */
  async grant(id: string, ttlMs: number): Promise<number> {
    try {
      const answer = await this.#call(GrantSchema, '/v3/lease/grant', { ID: id, TTL: String(Math.ceil(ttlMs / 1000)) });
      return answer.TTL * 1000;
    } catch (cause) {
      if (cause instanceof EtcdTrouble && cause.kind === 'lease exists') return ttlMs;
      throw cause;
    }
  }

  /** Renews the lease; `ttlMs` is 0 when it is gone. `revision` is one that the store had before. */
  async keepAlive(id: string): Promise<{ ttlMs: number; revision: number }> {
    const { result } = await this.#call(KeepAliveSchema, '/v3/lease/keepalive', { ID: id });
    return { ttlMs: Math.max(0, result.TTL) * 1000, revision: result.header.revision };
  }

  async revoke(id: string, timeoutMs: number): Promise<void> {
    await this.#call(AnySchema, '/v3/lease/revoke', { ID: id }, timeoutMs);
  }

  /**
   * Puts `value` at `key` when the key was last changed at revision `changedAt` ('0': is absent).
   * Otherwise nothing is put and what is there is returned, undefined when nothing is.
   */
  async putIf(
    key: string,
    changedAt: string,
    value: string,
    lease: string,
  ): Promise<{ put: true; revision: string } | { put: false; there: KeyValue | undefined }> {
    const answer = await this.#call(TxnSchema, '/v3/kv/txn', {
      compare: [{ target: 'MOD', result: 'EQUAL', key: encode(key), mod_revision: changedAt }],
      success: [{ request_put: { key: encode(key), value: encode(value), lease } }],
      failure: [{ request_range: { key: encode(key) } }],
    });
    if (answer.succeeded) return { put: true, revision: String(answer.header.revision) };
    return { put: false, there: answer.responses[0]?.response_range?.kvs[0] };
  }

  /** A page of all keys below the prefix, from `from` on, as they were at `revision` (0: now). */
  async page(from: string | undefined, revision: number, limit: number): Promise<v.InferOutput<typeof RangeSchema>> {
    const all = everythingBelow(this.#config.prefix);
    return await this.#call(RangeSchema, '/v3/kv/range', {
      key: from ?? all.key,
      range_end: all.range_end,
      revision: String(revision),
      limit: String(limit),
    });
  }

  /** Number of keys below the prefix, and whether any of them was changed after `revision`. */
  async changedSince(revision: number): Promise<{ revision: number; count: number; changed: boolean }> {
    const filter = { min_mod_revision: String(revision + 1), limit: '1', keys_only: true };
    const answer = await this.#call(RangeSchema, '/v3/kv/range', {
      ...everythingBelow(this.#config.prefix),
      ...filter,
    });
    return { revision: answer.header.revision, count: answer.count, changed: answer.kvs.length > 0 };
  }

  /** Changes below the prefix from `revision` on. The stream ends with an EtcdTrouble when etcd cancels the watch. */
  watch(revision: number, onProgress: (progress: Progress) => void): Stream {
    // fragment: etcd then splits what would exceed a message's limit.
    const create_request = {
      ...everythingBelow(this.#config.prefix),
      start_revision: String(revision),
      fragment: true,
    };
    const call = { path: '/v3/watch', body: { create_request }, token: this.#token, timeoutMs: this.#timeoutMs };
    return this.#gateway.stream(call, (line) => onProgress(readWatch(line)));
  }

  close(): void {
    this.#gateway.close();
  }

  async #call<S extends v.GenericSchema>(
    schema: S,
    path: string,
    body: unknown,
    timeoutMs = this.#timeoutMs,
  ): Promise<v.InferOutput<S>> {
    const ask = () => this.#gateway.post(schema, { path, body, token: this.#token, timeoutMs });
    try {
      return await ask();
    } catch (cause) {
      if (!(cause instanceof EtcdTrouble) || cause.kind !== 'token' || this.#token === undefined) throw cause;
      await this.login();
      return await ask();
    }
  }
}

/** @throws EtcdTrouble for a cancelled watch and for a line that is not etcd's. */
function readWatch(line: string): Progress {
  const parsed = parseJson(WatchSchema, line, MAX_ANSWER_BYTES);
  if (!parsed.ok) throw new EtcdTrouble('protocol', `answers, but not as etcd does: ${parsed.error}`);
  if ('error' in parsed.value) {
    const { code, grpc_code, message } = parsed.value.error;
    throw refusal(0, { code: grpc_code ?? code ?? 2, message });
  }
  const { header, created, canceled, cancel_reason, compact_revision, events } = parsed.value.result;
  if (compact_revision > 0) throw new EtcdTrouble('watch', `revision ${compact_revision} was compacted away`);
  if (canceled)
    throw cancel_reason === ''
      ? new EtcdTrouble('watch', 'it cancelled the watch')
      : refusal(0, { code: 2, message: cancel_reason });
  return { revision: header.revision, created, events };
}
