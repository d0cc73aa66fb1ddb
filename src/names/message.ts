/** The messages that the router reads and writes as a name server (RFC 1035, EDNS0 of RFC 6891). The wire format is dns-packet's. Pure. */
import packet, { type DecodedPacket, type PacketRecord } from 'dns-packet';
import type { Parsed } from '../record/record.ts';
import { lower } from '../sources/dns/message.ts';

/** Of clients and of other routers: a query is a header, a name and an EDNS record. */
export const MAX_QUERY_BYTES = 1232;
/** Fits every path without fragments (DNS Flag Day 2020). */
export const UDP_PAYLOAD = 1232;
/** RFC 1035 section 4.2.1: what a client takes that says nothing else. */
const PLAIN_UDP_PAYLOAD = 512;
const HEADER_BYTES = 12;
/** RFC 1035 section 4.1.1. */
const FLAG = { qr: 0x8000, aa: 0x0400, tc: 0x0200, rd: 0x0100, ra: 0x0080 } as const;
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
export type Rcode = keyof typeof RCODE;

/** Names follow the stacks: nobody may keep one for longer than this. */
export const TTL_S = 1;

export interface Query {
  readonly id: number;
  /** In lower case, without the dot at the end. */
  readonly name: string;
  /** As it was asked, for the answer: some clients compare it letter by letter. */
  readonly asked: string;
  readonly type: string;
  readonly recursion: boolean;
  /** Longest answer that the client takes by UDP, in bytes. */
  readonly udpLimit: number;
  readonly edns: boolean;
}

export type Answer =
  | { readonly type: 'A' | 'AAAA'; readonly data: string }
  | { readonly type: 'PTR'; readonly data: string };

function decoded(bytes: Buffer): Parsed<DecodedPacket> {
  try {
    return { ok: true, value: packet.decode(bytes) };
  } catch (cause) {
    return { ok: false, error: `malformed message (${(cause as Error).message.slice(0, 80)})` };
  }
}

/** A query, or the code that refuses it; undefined for what deserves no answer at all: answers and what has no header. */
export function decodeQuery(bytes: Buffer): Query | Rcode | undefined {
  if (bytes.length < HEADER_BYTES || (bytes.readUInt16BE(2) & FLAG.qr) !== 0) return undefined;
  const message = bytes.length > MAX_QUERY_BYTES ? undefined : decoded(bytes);
  if (!message?.ok) return 'FORMERR';
  const { id, opcode, questions, additionals } = message.value;
  if (opcode !== 'QUERY') return 'NOTIMP';
  const question = questions[0];
  if (!question || questions.length !== 1) return 'FORMERR';
  if (question.class !== 'IN') return 'REFUSED';
  const opt = additionals.find(({ type }) => type === 'OPT');
  const wants = opt ? Math.max(PLAIN_UDP_PAYLOAD, opt.udpPayloadSize ?? 0) : PLAIN_UDP_PAYLOAD;
  return {
    id,
    name: lower(question.name),
    asked: question.name,
    type: question.type,
    recursion: (bytes.readUInt16BE(2) & FLAG.rd) !== 0,
    udpLimit: Math.min(wants, UDP_PAYLOAD),
    edns: opt !== undefined,
  };
}

/** The answer; with nothing but the TC bit when it is longer than `limit` bytes, so that the client asks again by TCP. */
export function encodeAnswer(query: Query, rcode: Rcode, answers: readonly Answer[], limit: number): Buffer {
  const flags = FLAG.qr | FLAG.aa | FLAG.ra | (query.recursion ? FLAG.rd : 0) | RCODE[rcode];
  const base = {
    type: 'response' as const,
    id: query.id,
    flags,
    questions: [{ name: query.asked, type: query.type, class: 'IN' }],
    additionals: query.edns ? [OPT] : [],
  };
  const records = answers.map(
    ({ type, data }): PacketRecord => ({ name: query.asked, type, ttl: TTL_S, class: 'IN', data }),
  );
  const bytes = packet.encode({ ...base, answers: records });
  return bytes.length <= limit ? bytes : packet.encode({ ...base, flags: flags | FLAG.tc });
}

/** A header with a code alone, for a query that was not understood. */
export function encodeRefusal(bytes: Buffer, rcode: Rcode): Buffer {
  const answer = Buffer.alloc(HEADER_BYTES);
  bytes.copy(answer, 0, 0, 2);
  // The opcode and RD come back as they were (RFC 1035 section 4.1.1).
  answer.writeUInt16BE(FLAG.qr | FLAG.ra | (bytes.readUInt16BE(2) & 0x7900) | RCODE[rcode], 2);
  return answer;
}

const OPT = { name: '.', type: 'OPT', udpPayloadSize: UDP_PAYLOAD, options: [] };

export interface Asked {
  readonly id: number;
  readonly name: string;
  readonly type: string;
}

export function encodeQuestion({ id, name, type }: Asked): Buffer {
  const questions = [{ name, type, class: 'IN' }];
  return packet.encode({ type: 'query', id, flags: FLAG.rd, questions, additionals: [OPT] });
}

export interface Reply {
  readonly rcode: string;
  readonly truncated: boolean;
  readonly answers: readonly Answer[];
}

function answerOf({ type, class: klass, data }: PacketRecord): Answer[] {
  if (klass !== 'IN' || typeof data !== 'string') return [];
  return type === 'A' || type === 'AAAA' || type === 'PTR' ? [{ type, data: type === 'PTR' ? lower(data) : data }] : [];
}

/** RFC 5452 section 9.1: an answer counts only when id, name and type are those that were asked. */
export function decodeReply(bytes: Buffer, asked: Asked): Parsed<Reply> {
  const message = decoded(bytes);
  if (!message.ok) return message;
  const { id, opcode, rcode, flag_qr, flag_tc, questions, answers } = message.value;
  const question = questions[0];
  const ours = flag_qr && opcode === 'QUERY' && id === asked.id && questions.length === 1;
  if (!ours || lower(question!.name) !== lower(asked.name) || question!.type !== asked.type)
    return { ok: false, error: 'answers another question' };
  return { ok: true, value: { rcode, truncated: flag_tc, answers: answers.flatMap(answerOf) } };
}

/** Bytes of the first question: a name of labels without compression, type and class. undefined when they are not there. */
function questionBytes(bytes: Buffer): Buffer | undefined {
  let at = HEADER_BYTES;
  while (at < bytes.length && bytes[at] !== 0) {
    if (bytes[at]! > 63) return undefined;
    at += bytes[at]! + 1;
  }
  const end = at + 5;
  return end <= bytes.length ? bytes.subarray(HEADER_BYTES, end) : undefined;
}

/** Whether `answer` is one to the query `sent`, whatever else both hold: same id, same question to the letter. */
export function answersQuery(answer: Buffer, sent: Buffer): boolean {
  if (answer.length < HEADER_BYTES || (answer.readUInt16BE(2) & FLAG.qr) === 0) return false;
  const question = questionBytes(sent);
  const echoed = questionBytes(answer);
  return answer.readUInt16BE(0) === sent.readUInt16BE(0) && !!question && !!echoed?.equals(question);
}

/** The same message under another id. */
export function withId(bytes: Buffer, id: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(id, 0);
  return copy;
}
