/** One question to one name server, under an id that nobody can guess. */
import type { DnsServer } from '../config/dns-config.ts';
import { randomHex } from '../process/random.ts';
import { NoAnswer, overTcp, overUdp } from '../sources/dns/transport.ts';
import { decodeReply, encodeQuestion, type Reply } from './message.ts';

export const DNS_PORT = 53;

export const randomId = (): number => Number.parseInt(randomHex(2), 16);

export interface Question {
  readonly server: DnsServer;
  readonly name: string;
  readonly type: string;
  /** Source address; the kernel's choice when left out. */
  readonly from?: string;
  /** How long each try by UDP waits, in milliseconds. */
  readonly triesMs: readonly number[];
  readonly signal: AbortSignal;
}

/** By UDP, and by TCP when the answer was truncated. @throws NoAnswer, or the signal's reason. */
export async function ask({ server, name, type, from, triesMs, signal }: Question): Promise<Reply> {
  const exchange = (timeoutMs: number) => {
    const asked = { id: randomId(), name, type };
    const read = (bytes: Buffer) => decodeReply(bytes, asked);
    return { server, request: encodeQuestion(asked), read, timeoutMs, signal, ...(from !== undefined && { from }) };
  };
  let trouble = new NoAnswer('not asked');
  for (const timeoutMs of triesMs) {
    try {
      const reply = await overUdp(exchange(timeoutMs));
      return reply.truncated ? await overTcp(exchange(timeoutMs)) : reply;
    } catch (cause) {
      if (!(cause instanceof NoAnswer) || !cause.isTimeout) throw cause;
      trouble = cause;
    }
  }
  throw trouble;
}
