/** One connection's life: take the key, read everything, watch, renew. Ends with an EtcdTrouble; the source then begins another. */
import type { EtcdConfig } from '../../config/etcd-config.ts';
import type { StackRecord } from '../../record/record.ts';
import type { Envelope } from '../../trust/envelope.ts';
import type { SourceEvent } from '../source.ts';
import type { Claim } from './claim.ts';
import type { EtcdClient, Progress } from './client.ts';
import type { Stream } from './gateway.ts';
import { after } from './keys.ts';
import type { Recollection } from './recollection.ts';
import { doubt, renewInterval, WATCH_LAG_MS } from './timing.ts';
import { EtcdTrouble } from './trouble.ts';
import { MAX_KEYS, View } from './view.ts';

/** 500 records take about 0.5 MB. */
const PAGE = 500;

export interface SessionListener {
  /** Through which records leave and enter; undefined: in clear. */
  readonly envelope: Envelope | undefined;
  emit(event: SourceEvent): void;
  /** Everything works; or the key cannot be had although reading works, and why. */
  works(trouble: string | undefined): void;
}

export class Session {
  readonly client: EtcdClient;
  readonly #config: EtcdConfig;
  readonly #claim: Claim;
  readonly #recollection: Recollection;
  readonly #listener: SessionListener;
  #record: StackRecord;
  #view: View;
  #stream: Stream | undefined;
  #beat: NodeJS.Timeout | undefined;
  #holding: Promise<void> | undefined;
  #holdAgain = false;
  #trouble: string | undefined;
  #begun = false;
  #established = false;
  #over = false;
  #fail: (cause: unknown) => void = () => undefined;
  readonly #failed: Promise<never>;

  constructor(
    client: EtcdClient,
    config: EtcdConfig,
    claim: Claim,
    recollection: Recollection,
    record: StackRecord,
    listener: SessionListener,
  ) {
    this.client = client;
    this.#config = config;
    this.#claim = claim;
    this.#recollection = recollection;
    this.#record = record;
    this.#listener = listener;
    this.#view = new View(config.prefix, record, listener.envelope);
    this.#failed = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    this.#failed.catch(() => undefined);
  }

  /** Runs until something fails. @throws EtcdTrouble always. */
  async run(): Promise<never> {
    try {
      await this.client.login();
      await this.#claim.renew(this.client);
      this.#begun = true;
      await this.#hold();
      await this.#read();
      await this.#follow();
      this.#established = true;
      this.#report();
      this.#renewLater();
      return await this.#failed;
    } finally {
      this.quiet();
    }
  }

  /** Whether it came so far as to watch. */
  get established(): boolean {
    return this.#established;
  }

  publish(record: StackRecord): void {
    this.#record = record;
    // It is published anew when keys or identities have changed: who was not believed may be now.
    if (this.#established && this.#view.hasRefused)
      return this.#fail(new EtcdTrouble('watch', 'records that were refused are read again'));
    if (this.#begun) void this.#hold().catch(this.#fail);
  }

  /** No more events, no more renewals; what is under way may end. */
  quiet(): void {
    this.#over = true;
    clearTimeout(this.#beat);
    this.#stream?.close();
  }

  /** Resolves when no change of the key is under way. */
  async settled(): Promise<void> {
    await this.#holding?.catch(() => undefined);
  }

  /** One at a time; a record that is published meanwhile is put right after. */
  async #hold(): Promise<void> {
    this.#holdAgain = true;
    this.#holding ??= this.#holdLoop().finally(() => {
      this.#holding = undefined;
    });
    await this.#holding;
  }

  async #holdLoop(): Promise<void> {
    while (this.#holdAgain && !this.#over) {
      this.#holdAgain = false;
      const trouble = await this.#tryHold();
      const news = trouble !== this.#trouble;
      this.#trouble = trouble;
      if (news && this.#established) this.#report();
    }
  }

  #report(): void {
    if (!this.#over) this.#listener.works(this.#trouble);
  }

  /** The others can be read all the same, so that a stack that may not write is no reason to end the session. */
  async #tryHold(): Promise<string | undefined> {
    try {
      return await this.#claim.hold(this.client, this.#record);
    } catch (cause) {
      if (!(cause instanceof EtcdTrouble)) throw cause;
      if (cause.kind === 'permission') return this.#permission('write');
      if (cause.kind === 'full') return cause.message;
      throw cause;
    }
  }

  async #read(): Promise<void> {
    this.#view = new View(this.#config.prefix, this.#record, this.#listener.envelope);
    const { records, clusterId } = await this.#everything(this.#view);
    if (this.#over) return;
    const now = performance.now();
    this.#recollection.begin(clusterId, this.#view.revision, now, this.#claim.ttlMs);
    this.#listener.emit({ type: 'snapshot', records, fadeMs: this.#fadeMs(now) });
  }

  /** How long a stack stays that is absent without having said goodbye. */
  #fadeMs(now: number): number {
    return Math.max(doubt(this.#claim.ttlMs), this.#recollection.grace(now));
  }

  /** All keys as they were at one revision, in pages that halve while an answer is too large. Of a page only the records are kept. */
  async #everything(view: View): Promise<{ records: StackRecord[]; clusterId: string }> {
    const records: StackRecord[] = [];
    let limit = PAGE;
    let read = 0;
    for (let from: string | undefined; ; ) {
      try {
        const page = await this.client.page(from, view.revision, limit);
        if (view.revision === 0) view.revision = page.header.revision;
        for (const event of page.kvs.flatMap((kv) => view.put(kv))) {
          if (event.type === 'upsert') records.push(event.record);
          else if (!this.#over) this.#listener.emit(event);
        }
        const last = page.kvs.at(-1);
        read += page.kvs.length;
        if (!page.more || !last || read > MAX_KEYS) return { records, clusterId: page.header.cluster_id };
        from = after(last.key);
      } catch (cause) {
        if (!(cause instanceof EtcdTrouble)) throw cause;
        if (cause.kind === 'permission') throw new EtcdTrouble('permission', this.#permission('read'), cause);
        if (cause.kind !== 'too large' || limit === 1) throw cause;
        limit = Math.ceil(limit / 2);
      }
    }
  }

  /** Watches from the revision after the snapshot's. Resolves when etcd has begun the watch. */
  async #follow(): Promise<void> {
    let begun: () => void = () => undefined;
    const created = new Promise<void>((resolve) => {
      begun = resolve;
    });
    this.#stream = this.client.watch(this.#view.revision + 1, (progress) => {
      if (this.#over) return;
      this.#take(progress);
      if (progress.created) begun();
    });
    this.#stream.ended.catch(this.#fail);
    await Promise.race([created, this.#failed]);
  }

  #take({ revision, events }: Progress): void {
    const now = performance.now();
    for (const event of events) {
      for (const told of this.#view.apply(event, this.#fadeMs(now))) this.#listener.emit(told);
      if (this.#claim.notice(event, this.#record.stack_id)) void this.#hold().catch(this.#fail);
    }
    this.#view.revision = Math.max(this.#view.revision, revision);
    this.#recollection.heard(this.#view.revision, now);
  }

  #renewLater(): void {
    const jitter = 0.9 + 0.2 * Math.random();
    this.#beat = setTimeout(() => {
      this.#renew().then(() => {
        if (!this.#over) this.#renewLater();
      }, this.#fail);
    }, renewInterval(this.#claim.ttlMs) * jitter);
  }

  /** Also tries again for a key that could not be had, and checks that the watch is alive. */
  async #renew(): Promise<void> {
    const revision = await this.#claim.renew(this.client);
    await this.#hold();
    if (this.#over) return;
    this.#recollection.heard(this.#view.revision, performance.now());
    if (revision !== undefined && revision > this.#view.revision) await this.#audit();
  }

  /**
   * A watch whose connection died silently looks like one without news. The renewal's answer shows the store's revision: when that went on
   * and the watch said nothing, ask whether what went on concerns us.
   */
  async #audit(): Promise<void> {
    const before = this.#view.revision;
    const now = await this.client.changedSince(before);
    if (!now.changed && this.#view.isWhole(now.count)) {
      this.#view.revision = Math.max(this.#view.revision, now.revision);
      return;
    }
    await new Promise((resolve) => {
      this.#beat = setTimeout(resolve, WATCH_LAG_MS);
    });
    if (!this.#over && this.#view.revision === before) throw new EtcdTrouble('watch', 'its watch fell silent');
  }

  #permission(verb: 'read' | 'write'): string {
    const { username, prefix } = this.#config;
    const who = username === undefined ? 'no user is set (ETCD_USERNAME), and without one' : `user ${username}`;
    const grant = `etcdctl role grant-permission ROLE --prefix=true readwrite ${prefix}/`;
    return `${who} may not ${verb} below ${prefix}/; grant its role the prefix: ${grant}`;
  }
}
