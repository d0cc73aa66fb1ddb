/**
 * Reads all stacks that a zone lists. All from one server, so that a reading is never a mixture of two states; the next server is
 * asked only where one fails. That a name does not exist is an answer; that a server cannot tell is none.
 */
import { setMaxListeners } from 'node:events';
import type { DnsServer } from '../../config/dns-config.ts';
import type { Envelope } from '../../trust/envelope.ts';
import { ask, inParallel } from './ask.ts';
import {
  type Entry,
  instanceName,
  type Parts,
  parseEntry,
  parseText,
  sealedIn,
  serviceName,
  stackIdOf,
} from './entry.ts';
import { dataOf, type Read, readEndpoint, readText } from './stack-reader.ts';
import { label, NoAnswer } from './transport.ts';
import { queryRefused, referral } from './words.ts';

/** Questions under way at once: quick, and no burden for the server when many stacks look at the same time. */
const PARALLEL = 16;
/** More names than fit one answer of 64 kB: what is beyond was not written by stacks. */
const MAX_LISTED = 4096;
/** Time for all stacks together, beyond which a server counts as failing although it answers each question in the end. */
const PASS_MS = 10_000;
const PASS_MS_A_STACK = 50;

export interface Reading {
  readonly server: DnsServer;
  /** By stack id; an error where its records are missing, malformed or could not be read. */
  readonly entries: ReadonlyMap<string, Read<Entry>>;
  /** Names in the list that are not stacks. */
  readonly foreign: readonly string[];
}

/** Where a stack is; true as long as its TXT record says that it published nothing new. */
interface Endpoint extends Omit<Parts, 'text'> {
  readonly version: string;
}

const bad = (error: string, kind?: string) => ({ ok: false, error, passing: false, ...(kind && { kind }) }) as const;
/** An envelope says itself where its stack is. */
const NOWHERE = { srv: { priority: 0, weight: 0, port: 0, target: '.' }, address: '0.0.0.0' };

export class ZoneReader {
  readonly #domain: string;
  readonly #envelope: Envelope | undefined;
  readonly #endpoints = new Map<string, Endpoint>();
  /** The server that answered last is asked first. */
  #preferred: string | undefined;

  constructor(domain: string, envelope?: Envelope) {
    this.#domain = domain;
    this.#envelope = envelope;
  }

  /** @throws Error that says for each server why it failed, or the signal's reason. */
  async read(servers: readonly DnsServer[], signal: AbortSignal): Promise<Reading> {
    const rank = (server: DnsServer) => Number(label(server) !== this.#preferred);
    const failures: string[] = [];
    for (const server of [...servers].sort((a, b) => rank(a) - rank(b))) {
      try {
        const reading = await this.#readFrom(server, signal);
        this.#preferred = label(server);
        return reading;
      } catch (cause) {
        if (signal.aborted) throw cause;
        failures.push((cause as Error).message);
      }
    }
    throw new Error(failures.join('; ') || 'there is no DNS server: resolv.conf names none; set DNS_SERVERS');
  }

  async #readFrom(server: DnsServer, signal: AbortSignal): Promise<Reading> {
    const service = serviceName(this.#domain);
    const list = await ask(server, { name: service, type: 'PTR' }, signal);
    if (list.rcode !== 'NOERROR' && list.rcode !== 'NXDOMAIN')
      throw new Error(queryRefused(list.rcode, server, service));
    if (list.referral) throw new Error(referral(server, service));
    const names = [...new Set(dataOf(list.answers, service, 'PTR'))].slice(0, MAX_LISTED);
    const stackIds = names.flatMap((name) => stackIdOf(name, this.#domain) ?? []);
    const foreign = names.filter((name) => stackIdOf(name, this.#domain) === undefined);
    return { server, entries: await this.#entries(server, stackIds, signal), foreign };
  }

  async #entries(server: DnsServer, stackIds: readonly string[], signal: AbortSignal) {
    const entries = new Map<string, Read<Entry>>();
    const end = new AbortController();
    const late = new NoAnswer(`DNS server ${label(server)} did not answer for all ${stackIds.length} stacks in time`);
    const timer = setTimeout(() => end.abort(late), PASS_MS + stackIds.length * PASS_MS_A_STACK);
    const stop = () => end.abort(signal.reason);
    signal.addEventListener('abort', stop);
    setMaxListeners(2 * PARALLEL, end.signal);
    try {
      await inParallel(stackIds, PARALLEL, async (stackId) => {
        entries.set(stackId, await this.#entry(server, stackId, end.signal));
      });
    } catch (cause) {
      // The other workers must not go on asking a server that failed.
      end.abort(cause);
      throw cause;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
    for (const stackId of this.#endpoints.keys()) if (!entries.has(stackId)) this.#endpoints.delete(stackId);
    return entries;
  }

  async #entry(server: DnsServer, stackId: string, signal: AbortSignal): Promise<Read<Entry>> {
    const name = instanceName(stackId, this.#domain);
    const records = await readText(server, name, signal);
    if (!records.ok) return records;
    // A name may have several TXT records (RFC 6763 section 6.8): the first that is ours counts.
    const text = records.value.find((record) => parseText(record).ok) ?? records.value[0]!;
    const flat = parseText(text);
    if (!flat.ok) return bad(flat.error);
    if (sealedIn(flat.value)) return this.#parsed(stackId, { text, ...NOWHERE });
    // The TXT record is read first: were the SRV record read before a change and the TXT record after it, the old address would stay.
    const { lease, inst, boot, seq } = flat.value;
    const version = `${inst} ${boot} ${seq}`;
    const kept = this.#endpoints.get(stackId);
    const known = lease !== undefined && kept?.version === version ? kept : undefined;
    const endpoint = known ? ({ ok: true, value: known } as const) : await readEndpoint(server, name, signal);
    if (!endpoint.ok) return endpoint;
    // Kept at once: when a slow server makes this reading fail, the next one has less to ask.
    this.#endpoints.set(stackId, { ...endpoint.value, version });
    return this.#parsed(stackId, { text, ...endpoint.value });
  }

  #parsed(stackId: string, parts: Parts): Read<Entry> {
    const entry = parseEntry(stackId, parts, this.#envelope);
    return entry.ok ? entry : bad(entry.error, entry.kind);
  }
}
