/** DNS messages: queries and their answers (RFC 1035), dynamic updates (RFC 2136). The wire format is dns-packet's. Pure. */
import packet, { type DecodedPacket, type PacketRecord } from 'dns-packet';
import type { Parsed } from '../../record/record.ts';

/** RFC 1035 section 3.2.2 and 3.2.3, RFC 2782. */
const TYPES = { A: 1, NS: 2, SOA: 6, PTR: 12, TXT: 16, SRV: 33, ANY: 255 } as const;
/** RFC 1035 section 3.2.4, RFC 2136 section 1.3. */
const CLASSES = { IN: 1, NONE: 254, ANY: 255 } as const;
export type RecordType = keyof typeof TYPES;

/** Fits every path without fragments (DNS Flag Day 2020); larger answers come by TCP. */
const UDP_PAYLOAD = 1232;
/** RFC 2136 section 1.3: UPDATE is opcode 5; the opcode starts at bit 11 of the flags. */
const UPDATE_FLAGS = 5 << 11;
/** Offset of QDCOUNT; ANCOUNT, NSCOUNT and ARCOUNT follow in 2 bytes each (RFC 1035 section 4.1.1). */
const COUNTS = 4;

export interface Srv {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

/** A resource record. Names are in lower case without the dot at the end, except the root `.`. */
export type Resource = { readonly name: string; readonly ttl: number } & (
  | { readonly type: 'A' | 'PTR'; readonly data: string }
  | { readonly type: 'TXT'; readonly data: readonly Buffer[] }
  | { readonly type: 'SRV'; readonly data: Srv }
);

export interface Question {
  readonly id: number;
  readonly name: string;
  readonly type: RecordType;
}

export interface Answer {
  /** Name of the response code, such as NOERROR or SERVFAIL. */
  readonly rcode: string;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  /** Records of the answer section that are of a type read here. */
  readonly answers: readonly Resource[];
  readonly additionals: readonly Resource[];
  /** Owner of the SOA record given with the answer or with "there is none" (RFC 2308 section 3): the zone. */
  readonly zone: string | undefined;
  /** Nothing but name servers to ask instead (RFC 2308 section 2.2). */
  readonly referral: boolean;
}

export const lower = (name: string) => name.toLowerCase().replace(/(?<=.)\.$/, '');

export function encodeQuery({ id, name, type }: Question): Buffer {
  return packet.encode({
    type: 'query',
    id,
    flags: packet.RECURSION_DESIRED,
    questions: [{ name, type, class: 'IN' }],
    additionals: [{ name: '.', type: 'OPT', udpPayloadSize: UDP_PAYLOAD, options: [] }],
  });
}

function resourceOf({ name, type, class: klass, ttl = 0, data }: PacketRecord): Resource[] {
  if (klass !== 'IN') return [];
  const base = { name: lower(name), ttl };
  if (type === 'A' || type === 'PTR') return [{ ...base, type, data: lower(data as string) }];
  if (type === 'TXT') return [{ ...base, type, data: data as Buffer[] }];
  if (type !== 'SRV') return [];
  const srv = data as Srv;
  return [{ ...base, type, data: { ...srv, target: lower(srv.target) } }];
}

function decoded(bytes: Buffer): Parsed<DecodedPacket> {
  try {
    return { ok: true, value: packet.decode(bytes) };
  } catch (cause) {
    return { ok: false, error: `malformed message (${(cause as Error).message.slice(0, 80)})` };
  }
}

/** Whether a response answers `id`; undefined where not even the header can be read. RFC 5452 section 9.1: everything must match. */
export function decodeAnswer(bytes: Buffer, question: Question): Parsed<Answer> {
  const message = decoded(bytes);
  if (!message.ok) return message;
  const { id, opcode, rcode, flag_qr, flag_aa, flag_tc, questions, answers, authorities, additionals } = message.value;
  if (!flag_qr || opcode !== 'QUERY' || id !== question.id) return { ok: false, error: 'answers another question' };
  const asked = questions[0];
  // Servers leave the question out when they could not read it (FORMERR).
  if (asked ? lower(asked.name) !== lower(question.name) || asked.type !== question.type : rcode !== 'FORMERR')
    return { ok: false, error: 'answers another question' };
  const soa = [...answers, ...authorities].find(({ type }) => type === 'SOA');
  return {
    ok: true,
    value: {
      rcode,
      authoritative: flag_aa,
      truncated: flag_tc,
      answers: answers.flatMap(resourceOf),
      additionals: additionals.flatMap(resourceOf),
      zone: soa && lower(soa.name),
      referral: answers.length === 0 && !flag_aa && !soa && authorities.some(({ type }) => type === 'NS'),
    },
  };
}

/** What an update demands of the zone (RFC 2136 section 2.4) ... */
export type Prerequisite =
  | { readonly is: 'unused'; readonly name: string }
  | { readonly is: 'text'; readonly name: string; readonly records: readonly (readonly Buffer[])[] };
/** ... and what it does to it (section 2.5). */
export type Change =
  | { readonly do: 'add'; readonly resource: Resource }
  | { readonly do: 'delete'; readonly resource: Resource }
  | { readonly do: 'delete all'; readonly name: string; readonly type: 'A' | 'TXT' | 'SRV' | 'ANY' };

export interface Update {
  readonly id: number;
  readonly zone: string;
  readonly prerequisites: readonly Prerequisite[];
  readonly changes: readonly Change[];
}

/** dns-packet knows no class NONE, so the class is written into its bytes: two bytes after the name and the type (RFC 1035 section 4.1.3). */
function encodeRecord(record: PacketRecord, klass: keyof typeof CLASSES): Buffer {
  const bytes = packet.answer.encode({ ...record, class: 'IN' });
  bytes.writeUInt16BE(CLASSES[klass], packet.name.encodingLength(record.name) + 2);
  return bytes;
}

/** A record without data: the library writes types it does not know as the bytes that it is given. */
function bare(name: string, type: RecordType, klass: 'ANY' | 'NONE'): Buffer {
  return encodeRecord({ name, type: `UNKNOWN_${TYPES[type]}`, ttl: 0, data: Buffer.alloc(0) }, klass);
}

function encodePrerequisite(wanted: Prerequisite): Buffer[] {
  if (wanted.is === 'unused') return [bare(wanted.name, 'ANY', 'NONE')];
  return wanted.records.map((data) => encodeRecord({ name: wanted.name, type: 'TXT', ttl: 0, data: [...data] }, 'IN'));
}

function encodeChange(change: Change): Buffer {
  if (change.do === 'delete all') return bare(change.name, change.type, 'ANY');
  const { name, type, ttl, data } = change.resource;
  // The library turns the array it is given into buffers in place.
  const record = { name, type, data: type === 'TXT' ? [...data] : data };
  return change.do === 'add' ? encodeRecord({ ...record, ttl }, 'IN') : encodeRecord({ ...record, ttl: 0 }, 'NONE');
}

/** RFC 2136 section 2: the sections of a message carry other things under the same counts. */
export function encodeUpdate({ id, zone, prerequisites, changes }: Update): Buffer {
  const questions = [{ name: zone, type: 'SOA', class: 'IN' }];
  const head = packet.encode({ type: 'query', id, flags: UPDATE_FLAGS, questions });
  const demanded = prerequisites.flatMap(encodePrerequisite);
  const done = changes.map(encodeChange);
  head.writeUInt16BE(demanded.length, COUNTS + 2);
  head.writeUInt16BE(done.length, COUNTS + 4);
  return Buffer.concat([head, ...demanded, ...done]);
}

/** The response code of an update; RFC 2136 section 3.8: all sections of the response may be empty. */
export function decodeUpdateAnswer(bytes: Buffer, id: number): Parsed<string> {
  const message = decoded(bytes);
  if (!message.ok) return message;
  const { flag_qr, opcode, rcode } = message.value;
  if (!flag_qr || message.value.id !== id || opcode !== 'UPDATE')
    return { ok: false, error: 'answers another request' };
  return { ok: true, value: rcode };
}
