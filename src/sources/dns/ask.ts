/** One question to one server: UDP with EDNS0, again when a datagram got lost, TCP when the answer is truncated. */
import { randomInt } from 'node:crypto';
import type { DnsServer } from '../../config/dns-config.ts';
import { type Answer, decodeAnswer, encodeQuery, type RecordType } from './message.ts';
import { NoAnswer, overTcp, overUdp } from './transport.ts';

/** Each try waits longer, as resolvers do: a busy server must not be asked faster. */
const UDP_TRIES_MS = [500, 1000, 1500] as const;
export const TCP_TIMEOUT_MS = 3000;

export interface Asked {
  readonly name: string;
  readonly type: RecordType;
}

/** A new random id for each message (RFC 5452 section 9.2). @throws NoAnswer, or the signal's reason. */
export async function ask(server: DnsServer, { name, type }: Asked, signal: AbortSignal): Promise<Answer> {
  const exchange = (timeoutMs: number) => {
    const question = { id: randomInt(0x10000), name, type };
    const read = (bytes: Buffer) => decodeAnswer(bytes, question);
    return { server, request: encodeQuery(question), read, timeoutMs, signal };
  };
  let trouble = new NoAnswer('not asked');
  for (const timeoutMs of UDP_TRIES_MS) {
    try {
      const answer = await overUdp(exchange(timeoutMs));
      return answer.truncated ? await overTcp(exchange(TCP_TIMEOUT_MS)) : answer;
    } catch (cause) {
      if (!(cause instanceof NoAnswer) || !cause.isTimeout) throw cause;
      trouble = cause;
    }
  }
  throw trouble;
}

/** Runs `work` on every item, at most `limit` at a time; the first failure ends the rest by `abort`. */
export async function inParallel<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    // One iterator for all workers: each takes the next item that nobody has.
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}
