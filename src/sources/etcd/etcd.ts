/** Discovery by etcd: a key per stack, tied to a lease; a snapshot and a watch of the others' keys. For stacks that share no multicast network. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DiscoveryConfig } from '../../config/discovery-config.ts';
import type { EtcdConfig } from '../../config/etcd-config.ts';
import type { StackRecord } from '../../record/record.ts';
import type { Envelope } from '../../trust/envelope.ts';
import type { Parting, Source, SourceEvent } from '../source.ts';
import { Claim } from './claim.ts';
import { EtcdClient } from './client.ts';
import { Outlook } from './outlook.ts';
import { Recollection } from './recollection.ts';
import { Session } from './session.ts';
import { backoff, SETTLED_MS, STOP_GOODBYE_MS, STOP_PENDING_MS, STOP_REVOKE_MS } from './timing.ts';
import { EtcdTrouble } from './trouble.ts';

export class EtcdSource implements Source {
  readonly name = 'etcd';
  readonly #config: EtcdConfig;
  readonly #envelope: Envelope | undefined;
  readonly #claim: Claim;
  readonly #outlook: Outlook;
  readonly #recollection = new Recollection();
  readonly #stopping = new AbortController();
  #emit: (event: SourceEvent) => void = () => undefined;
  #said: string | undefined;
  #record: StackRecord | undefined;
  #session: Session | undefined;
  #running = false;
  #looping: Promise<void> | undefined;
  /** Index of the endpoint in use; the first is drawn by lot, so that the stacks spread over the members. */
  #endpoint: number;

  constructor(config: EtcdConfig, envelope?: Envelope) {
    this.#config = config;
    this.#envelope = envelope;
    this.#claim = new Claim(config.prefix, config.leaseTtlMs, envelope);
    this.#outlook = new Outlook(config.endpoints);
    this.#endpoint = Math.floor(Math.random() * config.endpoints.length);
  }

  start(emit: (event: SourceEvent) => void): void {
    this.#emit = emit;
    this.#running = true;
    this.#begin();
  }

  publish(record: StackRecord): void {
    this.#record = record;
    this.#session?.publish(record);
    this.#begin();
  }

  async stop(how: Parting = 'goodbye'): Promise<void> {
    this.#running = false;
    this.#stopping.abort();
    const session = this.#session;
    session?.quiet();
    await atMost(STOP_PENDING_MS, session?.settled());
    if (how === 'goodbye' && this.#claim.active) await this.#withdraw(session);
    session?.client.close();
  }

  /** The lease's end removes the key from everyone's view; when etcd cannot be told now, its time to live does it. */
  async #withdraw(session: Session | undefined): Promise<void> {
    const open = async () => {
      const client = await EtcdClient.open(this.#config, this.#current);
      await client.login();
      return client;
    };
    const client = session ? Promise.resolve(session.client) : open();
    await atMost(
      STOP_GOODBYE_MS,
      client.then((it) => this.#claim.leave(it, this.#record!)),
    );
    await atMost(
      STOP_REVOKE_MS,
      client.then((it) => this.#claim.revoke(it, STOP_REVOKE_MS)),
    );
    void client.then((it) => it.close()).catch(() => undefined);
  }

  get #current(): string {
    return this.#config.endpoints[this.#endpoint % this.#config.endpoints.length]!;
  }

  #begin(): void {
    // Without a record it is not known which of the keys is our own.
    if (this.#running && this.#record) this.#looping ??= this.#loop();
  }

  async #loop(): Promise<void> {
    let failures = 0;
    while (this.#running) {
      const began = performance.now();
      const trouble = await this.#connect();
      if (!this.#running) return;
      const established = this.#session?.established === true;
      this.#session = undefined;
      const settled = established && performance.now() - began > SETTLED_MS;
      if (established) this.#outlook.worked(performance.now());
      failures = settled ? 0 : failures + 1;
      const message = this.#outlook.failed(this.#current, trouble, performance.now());
      if (message !== undefined) this.#say({ type: 'state', ok: false, message });
      this.#endpoint += 1;
      const wait = backoff(failures, this.#claim.ttlMs, Math.random());
      await sleep(wait, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  /** Runs a session to its end and returns why it ended. */
  async #connect(): Promise<EtcdTrouble> {
    let client: EtcdClient | undefined;
    try {
      client = await EtcdClient.open(this.#config, this.#current);
      const listener = {
        envelope: this.#envelope,
        emit: (event: SourceEvent) => this.#running && this.#emit(event),
        works: (trouble: string | undefined) => this.#works(trouble),
      };
      this.#session = new Session(client, this.#config, this.#claim, this.#recollection, this.#record!, listener);
      return await this.#session.run();
    } catch (cause) {
      return cause instanceof EtcdTrouble ? cause : new EtcdTrouble('protocol', (cause as Error).message, cause);
    } finally {
      // While stopping, the connection is still needed to take the lease back.
      if (this.#running) client?.close();
    }
  }

  #works(trouble: string | undefined): void {
    if (trouble === undefined) this.#say({ type: 'state', ok: true, message: `connected to ${this.#current}` });
    else this.#say({ type: 'state', ok: false, message: trouble, seeing: true });
  }

  #say(state: Extract<SourceEvent, { type: 'state' }>): void {
    const said = JSON.stringify(state);
    if (!this.#running || said === this.#said) return;
    this.#said = said;
    this.#emit(state);
  }
}

/** Waits for `work`, however it ends, but no longer than `ms`. */
async function atMost(ms: number, work: Promise<unknown> | undefined): Promise<void> {
  const enough = new AbortController();
  const timer = sleep(ms, undefined, { signal: enough.signal }).catch(() => undefined);
  await Promise.race([work?.catch(() => undefined), timer]);
  enough.abort();
}

export function createSource(config: DiscoveryConfig, envelope?: Envelope): Source {
  return new EtcdSource(config.etcd!, envelope);
}
