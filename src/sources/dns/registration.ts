/**
 * Keeps this stack listed in the zone: by signed updates that are made only if the name still holds what was last seen there, so that
 * neither an operator's entry nor another stack's is ever overwritten, however many start at the same moment.
 */
import type { DnsConfig } from '../../config/dns-config.ts';
import type { Clock } from '../../process/clock.ts';
import type { StackRecord } from '../../record/record.ts';
import type { Envelope } from '../../trust/envelope.ts';
import type { Parting } from '../source.ts';
import { type Claim, claim } from './claim.ts';
import {
  type Entry,
  hostName,
  instanceName,
  type Lease,
  type Parts,
  parseEntry,
  parseText,
  type ReadEntry,
  resourcesOf,
  sealedIn,
  textOf,
} from './entry.ts';
import type { Change, Prerequisite } from './message.ts';
import { readEndpoint, readText } from './stack-reader.ts';
import { UpdateFailed, Updater } from './updater.ts';

/** A stack that reads, decides and updates meets at most a few others that do the same. */
const ROUNDS = 4;
/** Renewals in a lease: two may fail, and the reader still sees the third. */
const RENEWALS_A_LEASE = 3;
/** In which `stop` must be done; an update under way is given the first part of it. */
const STOP_MS = 650;
const SETTLE_MS = 300;
/** Where a holder's SRV or A record is missing its lease counts all the same. */
const NOWHERE = { srv: { priority: 0, weight: 0, port: 0, target: '.' }, address: '0.0.0.0' };

export interface RegistrationOptions {
  readonly domain: string;
  readonly update: NonNullable<DnsConfig['update']>;
  readonly ttlSeconds: number;
  readonly leaseSeconds: number;
  /** Wait before another try after a failure. */
  readonly retryMs: number;
  readonly clock: Clock;
  readonly envelope?: Envelope | undefined;
  /** The status is another one. */
  readonly changed: () => void;
}

export type Status =
  | { readonly is: 'unknown' | 'listed' | 'static' }
  | { readonly is: 'failing'; readonly message: string; readonly serverFails: boolean };

function isSealed(text: readonly Buffer[]): boolean {
  const flat = parseText(text);
  return flat.ok && sealedIn(flat.value) !== undefined;
}

type Records = readonly (readonly Buffer[])[];
const sameRecords = (a: Records, b: Records) => JSON.stringify(a) === JSON.stringify(b);

export class Registration {
  readonly #options: RegistrationOptions;
  readonly #updater: Updater;
  readonly #abort = new AbortController();
  /** TXT records as this stack last saw or wrote them under its name: what the next update demands to find. */
  #found: Records | undefined;
  /** What was found there last, ours or not, and since when it is the same. */
  #seen: { readonly records: Records; readonly since: number } | undefined;
  #record: StackRecord | undefined;
  #renewals = 0;
  #sent = false;
  #again = false;
  #stopped = false;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  status: Status = { is: 'unknown' };

  constructor(options: RegistrationOptions) {
    this.#options = options;
    const { update, domain, clock } = options;
    this.#updater = new Updater(update.server, update.key, domain, clock);
  }

  /** Clock of the update server, by which leases are written. */
  get nowSeconds(): number {
    return this.#updater.nowSeconds;
  }

  /** Lists the stack with this record, now and until the next call. */
  publish(record: StackRecord): void {
    if (this.#stopped) return;
    this.#record = record;
    this.#again = true;
    this.#running ??= this.#work();
  }

  /** Takes the stack off the list, where the server answers in time; `quietly` its lease is left to end. */
  async stop(how: Parting): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const end = setTimeout(() => this.#abort.abort(new Error('stopped')), STOP_MS);
    try {
      await Promise.race([this.#running, new Promise((resolve) => setTimeout(resolve, SETTLE_MS).unref())]);
      if (how === 'goodbye' && this.#sent && this.status.is !== 'static') await this.#withdraw();
    } catch {
      // The others notice by the end of the lease.
    } finally {
      clearTimeout(end);
      this.#abort.abort(new Error('stopped'));
    }
  }

  async #work(): Promise<void> {
    clearTimeout(this.#timer);
    while (this.#again && !this.#stopped) {
      this.#again = false;
      const status = await this.#attempt(this.#record!);
      if (!this.#stopped) this.#settle(status);
    }
    this.#running = undefined;
    if (this.#stopped) return;
    const { leaseSeconds, retryMs } = this.#options;
    const renewMs = ((leaseSeconds * 1000) / RENEWALS_A_LEASE) * (0.9 + 0.1 * Math.random());
    const delay = this.status.is === 'listed' ? renewMs : Math.min(retryMs, renewMs);
    this.#timer = setTimeout(() => this.publish(this.#record!), delay);
  }

  #settle(status: Status): void {
    const before = JSON.stringify(this.status);
    this.status = status;
    if (JSON.stringify(status) !== before) this.#options.changed();
  }

  async #attempt(record: StackRecord): Promise<Status> {
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const before = this.#updater.aheadMs;
        if (await this.#list(record)) {
          // The first answer told the server's clock: the lease just written ends at a time that no reader would believe.
          if (Math.abs(this.#updater.aheadMs - before) > this.#options.leaseSeconds * 250) this.#again = true;
          return { is: 'listed' };
        }
        const found = await this.#look(record);
        if (found?.is === 'static') return { is: 'static' };
        if (found?.is === 'held') return { is: 'failing', message: found.message, serverFails: false };
      }
      const name = instanceName(record.stack_id, this.#options.domain);
      const message = `cannot list this stack: ${name} holds records without a TXT record, or somebody else keeps changing it; delete them, or use another STACK_ID`;
      return { is: 'failing', message, serverFails: false };
    } catch (cause) {
      const serverFails = cause instanceof UpdateFailed ? cause.serverFails : true;
      return { is: 'failing', message: (cause as Error).message, serverFails };
    }
  }

  /** The name must be unused, or hold exactly what was last found there (RFC 2136 sections 2.4.5 and 2.4.2). */
  #prerequisite(name: string): Prerequisite {
    return this.#found ? { is: 'text', name, records: this.#found } : { is: 'unused', name };
  }

  #nextLease(): Lease {
    const { leaseSeconds } = this.#options;
    this.#renewals += 1;
    const until = Math.ceil(this.#updater.nowSeconds + leaseSeconds);
    return { seconds: leaseSeconds, until, renewals: this.#renewals };
  }

  /** Writes all records of the stack. A server that already has them changes only the TXT record. */
  async #list(record: StackRecord): Promise<boolean> {
    const { domain, ttlSeconds, envelope } = this.#options;
    const name = instanceName(record.stack_id, domain);
    const text = textOf(record, this.#nextLease(), envelope);
    const { ptr, own } = resourcesOf(record, text, domain, ttlSeconds);
    const changes: Change[] = [
      { do: 'delete all', name, type: 'ANY' },
      { do: 'delete all', name: hostName(record.stack_id, domain), type: 'A' },
      // An envelope says where the stack is; in the other records everybody could read it.
      ...own.filter(({ type }) => !envelope || type === 'TXT').map((resource) => ({ do: 'add', resource }) as const),
      { do: 'add', resource: ptr },
    ];
    this.#sent = true;
    const made = await this.#updater.send({ prerequisites: [this.#prerequisite(name)], changes }, this.#abort.signal);
    if (made) this.#found = [text];
    return made;
  }

  /** What is under the name now; remembered where this stack may take it. undefined: no TXT record, which may change at any moment. */
  async #look(record: StackRecord): Promise<Claim | undefined> {
    const { update, domain } = this.#options;
    const name = instanceName(record.stack_id, domain);
    const text = await readText(update.server, name, this.#abort.signal);
    if (!text.ok) {
      if (text.passing) throw new UpdateFailed(`cannot list this stack: ${text.error}`, true);
      this.#found = undefined;
      return undefined;
    }
    const mine = text.value.find((one) => parseText(one).ok) ?? text.value[0]!;
    const endpoint = await readEndpoint(update.server, name, this.#abort.signal);
    const entry = this.#entry(record, mine, endpoint.ok ? endpoint.value : NOWHERE);
    if (entry.ok) return this.#judge(record, entry.value, text.value);
    if (entry.kind === 'own' || (isSealed(mine) && this.#isAbandoned(text.value))) {
      this.#found = text.value;
      return { is: 'ours' };
    }
    this.#found = undefined;
    if (entry.kind === 'other identity') return { is: 'held', message: `cannot list this stack: ${entry.error}` };
    const message = `cannot list this stack: ${name} holds something else already (${entry.error}); delete it, or use another STACK_ID`;
    return { is: 'held', message };
  }

  /** Who may have a name is another question than who is believed: here an entry in clear counts, such as our own from before there were keys. */
  #entry(record: StackRecord, text: readonly Buffer[], where: Omit<Parts, 'text'>): ReadEntry {
    return parseEntry(record.stack_id, { text, ...where }, isSealed(text) ? this.#options.envelope : undefined);
  }

  /** For how long the records have been as they are, as far as was seen. */
  #unchangedMs(records: Records): number {
    const now = this.#options.clock.monotonic();
    const since = this.#seen && sameRecords(this.#seen.records, records) ? this.#seen.since : now;
    this.#seen = { records, since };
    return now - since;
  }

  /** What cannot be read and is not renewed belongs to nobody who is alive. */
  #isAbandoned(records: Records): boolean {
    return this.#unchangedMs(records) > this.#options.leaseSeconds * 1000;
  }

  #judge(record: StackRecord, entry: Entry, records: Records): Claim {
    const verdict = claim(record, { entry, unchangedMs: this.#unchangedMs(records) }, this.#updater.nowSeconds);
    this.#found = verdict.is === 'ours' ? records : undefined;
    return verdict;
  }

  async #withdraw(): Promise<void> {
    const record = this.#record!;
    const { domain } = this.#options;
    const name = instanceName(record.stack_id, domain);
    const { ptr } = resourcesOf(record, [], domain, 0);
    const changes: Change[] = [
      { do: 'delete all', name, type: 'ANY' },
      { do: 'delete all', name: hostName(record.stack_id, domain), type: 'A' },
      { do: 'delete', resource: ptr },
    ];
    for (let round = 0; round < 2; round++) {
      if (
        this.#found &&
        (await this.#updater.send({ prerequisites: [this.#prerequisite(name)], changes }, this.#abort.signal))
      )
        return;
      // An update whose answer was lost: what is there is ours only if it says so.
      const text = await readText(this.#options.update.server, name, this.#abort.signal);
      const ours = text.ok
        ? text.value.find((one) => {
            const entry = this.#entry(record, one, NOWHERE);
            return entry.ok ? entry.value.record.instance === record.instance : entry.kind === 'own';
          })
        : undefined;
      if (!ours || !text.ok) return;
      this.#found = text.value;
    }
  }
}
