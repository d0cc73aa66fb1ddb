/**
 * A stack in a zone, as DNS-SD lists a service (RFC 6763, RFC 2782):
 *
 *     _docker-router._udp.DOMAIN          PTR  STACK._docker-router._udp.DOMAIN
 *     STACK._docker-router._udp.DOMAIN    SRV  0 0 VXLAN-PORT STACK.docker-router.DOMAIN    port 0: no router yet
 *     STACK._docker-router._udp.DOMAIN    TXT  "txtvers=1" "vni=1000" "net=172.30.0.0/24" ... "lease=90" "until=1700000090" "n=7"
 *     STACK.docker-router.DOMAIN          A    HOST-ADDRESS
 *
 * The TXT strings are the flat form of the record without what the other records say. With keys or an identity they are an envelope
 * (`e0=`, `e1=` ...) that holds all of it, and there is no SRV and no A record: what they would say stands in it. Pure but for the envelope.
 */
import * as v from 'valibot';
import { hash64 } from '../../net/hash.ts';
import { type Flat, fromFlat, toFlat } from '../../record/flat.ts';
import { MAX_RECORD_BYTES, type Parsed, StackIdSchema, type StackRecord } from '../../record/record.ts';
import { type Envelope, fromText, NO_KEYS, NOT_SEALED, toText } from '../../trust/envelope.ts';
import type { Resource, Srv } from './message.ts';

/** RFC 6763 section 6.7: version of the TXT keys; a reader that finds another one must not guess. */
const TXT_VERSION = '1';
/** A lease longer than this is not believed: its stack would stay for too long after its death. */
const MAX_LEASE_SECONDS = 86_400;

/** What a stack that lists itself promises; DNS has no leases of its own. */
export interface Lease {
  /** Whoever sees no renewal for this long takes the stack for dead. */
  readonly seconds: number;
  /** End of the lease by the clock of the update server, in seconds since 1970. */
  readonly until: number;
  /** Counts renewals; (boot, seq, renewals) always grows, whatever any clock does. */
  readonly renewals: number;
}

export interface Entry {
  readonly record: StackRecord;
  /** Absent: written by an operator, true until it is deleted. */
  readonly lease: Lease | undefined;
  /** The entry says which instance it is about; an operator's need not, and is then about whoever has the id. */
  readonly instanceKnown: boolean;
}

/** What the zone holds under a stack's name. */
export interface Parts {
  readonly text: readonly Buffer[];
  readonly srv: Srv;
  readonly address: string;
}

export const serviceName = (domain: string) => `_docker-router._udp.${domain}`;
export const instanceName = (stackId: string, domain: string) => `${stackId}.${serviceName(domain)}`;
/** No underscore: servers refuse it in the owner name of an address (BIND's check-names, RFC 952). */
export const hostName = (stackId: string, domain: string) => `${stackId}.docker-router.${domain}`;

/** The stack id in an instance name; undefined when the name is not one of ours (RFC 6763 section 4.1.1 allows any text there). */
export function stackIdOf(name: string, domain: string): string | undefined {
  const suffix = `.${serviceName(domain)}`;
  const label = name.endsWith(suffix) ? name.slice(0, -suffix.length) : '';
  return v.is(StackIdSchema, label) ? label : undefined;
}

/** TXT strings of a stack that lists itself. */
export function textOf(record: StackRecord, lease: Lease, envelope?: Envelope): Buffer[] {
  const flat = toFlat(record);
  const promise = { lease: String(lease.seconds), until: String(lease.until), n: lease.renewals.toString(36) };
  const { id: _name, ip: _address, port: _srv, ...rest } = flat;
  const said = envelope ? chunks(toText(envelope.close('dns', { ...flat, ...promise }))) : { ...rest, ...promise };
  return Object.entries({ txtvers: TXT_VERSION, ...said }).map(([key, value]) => Buffer.from(`${key}=${value}`));
}

/** A TXT string has room for 255 bytes. */
const CHUNK = 250;
const MAX_CHUNKS = 10;

function chunks(text: string): Record<string, string> {
  const parts = Array.from({ length: Math.ceil(text.length / CHUNK) }, (_, i) =>
    text.slice(i * CHUNK, (i + 1) * CHUNK),
  );
  return Object.fromEntries(parts.map((part, index) => [`e${index}`, part]));
}

/** The envelope in TXT strings; undefined when they are in clear. */
export function sealedIn(flat: Flat): Buffer | undefined {
  if (flat.e0 === undefined) return undefined;
  return fromText(Array.from({ length: MAX_CHUNKS }, (_, index) => flat[`e${index}`] ?? '').join(''));
}

/** The records that list a stack, all of its own but the PTR, which stands among those of the other stacks. */
export function resourcesOf(record: StackRecord, text: readonly Buffer[], domain: string, ttl: number) {
  const [name, target] = [instanceName(record.stack_id, domain), hostName(record.stack_id, domain)];
  const srv = { priority: 0, weight: 0, port: record.vxlan_port ?? 0, target };
  return {
    ptr: { name: serviceName(domain), ttl, type: 'PTR', data: name },
    own: [
      { name, ttl, type: 'TXT', data: text },
      { name, ttl, type: 'SRV', data: srv },
      { name: target, ttl, type: 'A', data: record.host_ip },
    ],
  } as const satisfies { ptr: Resource; own: readonly Resource[] };
}

/** RFC 6763 section 6.4: the first of equal keys counts, keys ignore case, a string that begins with `=` is ignored. */
function pairs(text: readonly Buffer[]): Parsed<Flat> {
  const bytes = text.reduce((sum, { length }) => sum + length + 1, 0);
  if (bytes > MAX_RECORD_BYTES) return { ok: false, error: `its TXT record is larger than ${MAX_RECORD_BYTES} bytes` };
  const flat = new Map<string, string>();
  for (const pair of text.map((string) => string.toString('utf8'))) {
    const at = pair.indexOf('=');
    const key = (at < 0 ? pair : pair.slice(0, at)).toLowerCase();
    if (key !== '' && !flat.has(key)) flat.set(key, at < 0 ? '' : pair.slice(at + 1));
  }
  return { ok: true, value: Object.fromEntries(flat) };
}

/** An operator's entry without `inst`: the same instance for every reader, also after the entry was edited. */
function impliedInstance(stackId: string): string {
  return hash64(`docker-router static ${stackId}`);
}

function leaseOf({ lease, until, n }: Flat): Parsed<Lease | undefined> {
  if (lease === undefined) return { ok: true, value: undefined };
  const [seconds, end] = [Number(lease), Number(until)];
  const valid =
    /^\d{1,6}$/.test(lease) && seconds > 0 && /^\d{1,12}$/.test(until ?? '') && /^[0-9a-z]{1,10}$/.test(n ?? '');
  if (!valid) return { ok: false, error: 'its lease is malformed' };
  const renewals = Number.parseInt(n!, 36);
  return { ok: true, value: { seconds: Math.min(seconds, MAX_LEASE_SECONDS), until: end, renewals } };
}

/** Whether a TXT record is meant for us at all, before the rest is asked for. */
export function parseText(text: readonly Buffer[]): Parsed<Flat> {
  const flat = pairs(text);
  if (!flat.ok) return flat;
  const { txtvers = TXT_VERSION, vni, e0 } = flat.value;
  if (txtvers !== TXT_VERSION)
    return { ok: false, error: `its txtvers is ${JSON.stringify(txtvers.slice(0, 10))}, not 1` };
  if (vni === undefined && e0 === undefined)
    return { ok: false, error: 'its TXT record has no vni=, so it is not a stack of Docker Router' };
  return flat;
}

export type ReadEntry =
  | { readonly ok: true; readonly value: Entry }
  | { readonly ok: false; readonly kind: string; readonly error: string };

const unusable = (error: string): ReadEntry => ({ ok: false, kind: 'unusable', error });

/** What the zone says of a stack. */
export function parseEntry(stackId: string, parts: Parts, envelope?: Envelope): ReadEntry {
  const flat = parseText(parts.text);
  if (!flat.ok) return unusable(flat.error);
  const sealed = sealedIn(flat.value);
  if (sealed) return envelope ? parseSealed(stackId, sealed, envelope) : NO_KEYS;
  if (envelope?.seals) return NOT_SEALED;
  const entry = parseClear(stackId, flat.value, parts);
  if (!entry.ok) return unusable(entry.error);
  const refused = envelope?.openClear(toFlat(entry.value.record));
  return refused?.ok === false ? refused : entry;
}

function parseSealed(stackId: string, sealed: Buffer, envelope: Envelope): ReadEntry {
  const opened = envelope.open('dns', sealed);
  if (!opened.ok) return opened;
  if (opened.flat.id !== stackId) return unusable(`holds the record of ${opened.flat.id}`);
  const lease = leaseOf(opened.flat);
  if (!lease.ok) return unusable(lease.error);
  const record = fromFlat(opened.flat);
  if (!record.ok) return unusable(record.error);
  return { ok: true, value: { record: record.value, lease: lease.value, instanceKnown: true } };
}

/** Since an operator's entry is the word of the zone's owner, it is senior to all (`since` 0). */
function parseClear(stackId: string, flat: Flat, { srv, address }: Omit<Parts, 'text'>): Parsed<Entry> {
  const lease = leaseOf(flat);
  if (!lease.ok) return lease;
  const { id: _id, ip: _ip, port: _port, ...said } = flat;
  const implied: Flat = lease.value ? {} : { inst: impliedInstance(stackId), since: '0', boot: '0', seq: '0' };
  const port: Flat = { port: srv.port === 0 ? '' : String(srv.port) };
  const record = fromFlat({ ...implied, ...said, ...port, id: stackId, ip: address });
  if (!record.ok) return record;
  return { ok: true, value: { record: record.value, lease: lease.value, instanceKnown: said.inst !== undefined } };
}

/** RFC 2782: lowest priority first; then, for a choice that all readers share, the highest weight and the first name. */
export function preferred(all: readonly Srv[]): Srv | undefined {
  const order = (a: Srv, b: Srv) => a.priority - b.priority || b.weight - a.weight || (a.target < b.target ? -1 : 1);
  return [...all].sort(order)[0];
}
