/** Discovery by DNS: reads the stacks that a zone lists (RFC 6763) and, where it may, keeps this one listed (RFC 2136). */
import { Resolver } from 'node:dns';
import type { DiscoveryConfig } from '../../config/discovery-config.ts';
import { type DnsConfig, type DnsServer, dnsServer } from '../../config/dns-config.ts';
import { type Clock, systemClock } from '../../process/clock.ts';
import type { StackRecord } from '../../record/record.ts';
import type { Envelope } from '../../trust/envelope.ts';
import type { Parting, Source, SourceEvent } from '../source.ts';
import { mismatch } from './claim.ts';
import { type Entry, instanceName } from './entry.ts';
import { isAlive, type Look, observe, type Sightings } from './liveness.ts';
import { Registration } from './registration.ts';
import { label } from './transport.ts';
import { about } from './words.ts';
import { type Reading, ZoneReader } from './zone-reader.ts';

/** With many stacks each reader looks less often, so that it puts at most this many questions a second. */
const STACKS_A_SECOND = 50;
/** At first it looks more often: stacks that are started together find each other in a second or two, not in an interval. */
const EAGER_LOOKS = 3;
const EAGER_MS = 1000;
/** Peers that missed a renewal are stale, and stay: only the reader decides when they are dead. */
const STALE_NOW = { staleAfterMs: 0, expireAfterMs: Number.POSITIVE_INFINITY };

/** resolv.conf, read anew: it may have changed since the start. */
function systemServers(): DnsServer[] {
  return new Resolver().getServers().flatMap((text) => {
    try {
      return [dnsServer(text)];
    } catch {
      // A link-local server with a zone index: not one that serves a zone to us.
      return [];
    }
  });
}

export class DnsSource implements Source {
  readonly name = 'dns';
  readonly #config: DnsConfig;
  readonly #peerTimeoutMs: number;
  readonly #clock: Clock;
  readonly #reader: ZoneReader;
  readonly #registration: Registration | undefined;
  readonly #abort = new AbortController();
  #emit: (event: SourceEvent) => void = () => undefined;
  #record: StackRecord | undefined;
  #running = false;
  #timer: NodeJS.Timeout | undefined;
  #looks = 0;
  #sightings: Sightings = new Map();
  #last: { readonly look: Look; readonly server: string } | undefined;
  #reading: { readonly server: string } | { readonly failure: string } | undefined;
  /** What the zone says of this stack where an operator wrote it. */
  #listed: Entry | undefined;
  #clockNotice = '';
  #said: string | undefined;
  #complaints: ReadonlyMap<string, string> = new Map();

  constructor(config: DnsConfig, peerTimeoutMs: number, clock: Clock = systemClock, envelope?: Envelope) {
    this.#config = config;
    this.#peerTimeoutMs = peerTimeoutMs;
    this.#clock = clock;
    this.#reader = new ZoneReader(config.domain, envelope);
    const { update, domain, ttlSeconds, intervalMs } = config;
    const leaseSeconds = Math.ceil(peerTimeoutMs / 1000);
    const changed = () => this.#onRegistration();
    this.#registration =
      update &&
      new Registration({ update, domain, ttlSeconds, leaseSeconds, retryMs: intervalMs, clock, envelope, changed });
  }

  start(emit: (event: SourceEvent) => void): void {
    this.#emit = emit;
    this.#running = true;
    if (this.#record) this.#registration?.publish(this.#record);
    void this.#poll();
  }

  publish(record: StackRecord): void {
    this.#record = record;
    if (this.#running) this.#registration?.publish(record);
  }

  async stop(how: Parting = 'goodbye'): Promise<void> {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#abort.abort(new Error('stopped'));
    await this.#registration?.stop(how);
  }

  get #nowSeconds(): number {
    return this.#registration?.nowSeconds ?? this.#clock.wall() / 1000;
  }

  /** Time between looks where `wantedMs` is asked for. */
  #pauseMs(wantedMs: number): number {
    return Math.max(wantedMs, (this.#sightings.size * 1000) / STACKS_A_SECOND);
  }

  async #poll(): Promise<void> {
    const began = performance.now();
    try {
      const { servers } = this.#config;
      const reading = await this.#reader.read(servers.length > 0 ? servers : systemServers(), this.#abort.signal);
      if (this.#running) this.#onReading(reading);
    } catch (cause) {
      if (!this.#running) return;
      this.#reading = { failure: (cause as Error).message };
      this.#report();
    }
    if (!this.#running) return;
    // A little less than the interval, so that stacks started together do not ask together for ever.
    this.#looks += 1;
    const { intervalMs } = this.#config;
    const pauseMs = this.#pauseMs(this.#looks <= EAGER_LOOKS ? Math.min(EAGER_MS, intervalMs) : intervalMs);
    const delay = pauseMs * (0.9 + 0.1 * Math.random()) - (performance.now() - began);
    this.#timer = setTimeout(() => void this.#poll(), Math.max(delay, intervalMs / 10));
  }

  #look(server: string): Look {
    const status = this.#registration?.status;
    return {
      at: this.#clock.monotonic(),
      lastAt: this.#last?.look.at,
      sameServer: this.#last?.server === server,
      nowSeconds: this.#nowSeconds,
      intervalMs: this.#pauseMs(this.#config.intervalMs),
      peerTimeoutMs: this.#peerTimeoutMs,
      updatesFail: status?.is === 'failing' && status.serverFails,
    };
  }

  #onReading({ server, entries, foreign }: Reading): void {
    const look = this.#look(label(server));
    const known = new Map<string, Entry>();
    /** Message -> kind. */
    const complaints = new Map<string, string>();
    for (const [stackId, read] of entries) {
      const entry = read.ok ? read.value : read.passing ? this.#sightings.get(stackId)?.entry : undefined;
      if (!read.ok && read.kind !== 'own')
        complaints.set(`${instanceName(stackId, this.#config.domain)}: ${read.error}`, read.kind ?? 'unusable');
      if (entry) known.set(stackId, entry);
    }
    if (foreign.length > 0)
      complaints.set(
        `${foreign.length} names that no stack can have: ${foreign.slice(0, 3).join(', ').slice(0, 200)}`,
        'unusable',
      );
    this.#listed = this.#takeOwn(known);
    this.#sightings = observe(this.#sightings, known, look);
    this.#last = { look, server: label(server) };
    this.#reading = { server: label(server) };
    this.#complain(complaints);
    this.#clockNotice = clockNotice(this.#sightings);
    this.#report();
    this.#tell(look);
  }

  /** A failing state makes all peers stale: while the zone can be read that is not so, and must not last until the next look. */
  #onRegistration(): void {
    this.#report();
    if (this.#running && this.#last && this.#reading && 'server' in this.#reading) this.#tell(this.#last.look);
  }

  /** Takes this stack's own entry out. Returns it where an operator wrote it; an entry of another instance with our id stays a peer. */
  #takeOwn(known: Map<string, Entry>): Entry | undefined {
    const self = this.#record;
    const entry = self && known.get(self.stack_id);
    if (!entry || (entry.instanceKnown && entry.record.instance !== self.instance)) return undefined;
    known.delete(self.stack_id);
    return entry.lease ? undefined : entry;
  }

  /** Reports what is wrong in the zone once, and again only after it was mended. */
  #complain(complaints: ReadonlyMap<string, string>): void {
    for (const [message, kind] of complaints) {
      if (!this.#complaints.has(message)) this.#emit({ type: 'dropped', kind: `${kind} entry`, message });
    }
    this.#complaints = complaints;
  }

  #tell(look: Look): void {
    const alive = [...this.#sightings.values()].filter((seen) => isAlive(seen, look));
    this.#emit({ type: 'snapshot', records: alive.map(({ entry }) => entry.record) });
    for (const seen of alive) {
      if (seen.overdue) this.#emit({ type: 'upsert', record: seen.entry.record, lifetime: STALE_NOW });
    }
  }

  /** State of reading and of being listed, as one. Said only when it is another one. */
  #report(): void {
    const state = this.#state();
    const text = JSON.stringify(state);
    if (!this.#running || !state || text === this.#said) return;
    this.#said = text;
    this.#emit(state);
  }

  #state(): Extract<SourceEvent, { type: 'state' }> | undefined {
    const reading = this.#reading;
    const status = this.#registration?.status;
    // Until both have been tried there is nothing to say.
    if (!reading || status?.is === 'unknown') return undefined;
    const wrong = this.#listed && this.#record && mismatch(this.#record, this.#listed.record);
    const problems = [
      'failure' in reading && reading.failure,
      status?.is === 'failing' && status.message,
      wrong && `the zone's operator lists this stack with ${wrong}; correct the zone`,
    ].filter((text) => typeof text === 'string');
    if ('failure' in reading || problems.length > 0) return { type: 'state', ok: false, message: problems.join('; ') };
    const how =
      status?.is === 'listed'
        ? 'which lists this stack too'
        : status?.is === 'static' || this.#listed
          ? 'where an operator has listed this stack too'
          : 'where this stack is not listed (an operator lists it, or DNS_UPDATE_SERVER lets it list itself)';
    return {
      type: 'state',
      ok: true,
      message: `reading ${this.#config.domain} from ${reading.server}, ${how}${this.#clockNotice}`,
    };
  }
}

/** A stack whose renewals carry times far from ours: harmless for who is a peer, but a person should know. */
function clockNotice(sightings: Sightings): string {
  const worst = [...sightings].sort(([, a], [, b]) => Math.abs(b.skewSeconds) - Math.abs(a.skewSeconds))[0];
  if (!worst || worst[1].skewSeconds === 0) return '';
  // Rounded to minutes, so that the same trouble gives the same text.
  const minutes = Math.max(1, Math.round(Math.abs(worst[1].skewSeconds) / 60));
  const side = worst[1].skewSeconds > 0 ? 'behind' : 'ahead of';
  return `; this host's clock is ${about(minutes * 60)} ${side} that of stack ${worst[0]}: set both by NTP (no peer is lost by it)`;
}

export function createSource(config: DiscoveryConfig, envelope?: Envelope, clock?: Clock): Source {
  if (!config.dns) throw new Error('DISCOVERY_MODE does not contain dns');
  return new DnsSource(config.dns, config.peerTimeoutMs, clock, envelope);
}
