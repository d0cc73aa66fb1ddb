/** Everything that is not ours goes on as it came, to the resolvers that the router has. */
import { isIP } from 'node:net';
import type { DnsServer } from '../config/dns-config.ts';
import { overTcp, overUdp } from '../sources/dns/transport.ts';
import { DNS_PORT, randomId } from './ask.ts';
import { answersQuery, withId } from './message.ts';

/** Docker gives up on a server after 4 s; several share that. */
const TOTAL_MS = 3800;
/** Questions outside at a time: resolvers that are away must not use up what the stacks' names need. */
const MAX_OUTSIDE = 128;
/** As resolv.conf(5). */
const MAX_SERVERS = 3;

/** The servers that `/etc/resolv.conf` names, in its order. */
export function parseResolvConf(text: string): DnsServer[] {
  const addresses = text.split('\n').flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
  return addresses
    .filter((address) => isIP(address) !== 0)
    .slice(0, MAX_SERVERS)
    .map((address) => ({ address, port: DNS_PORT }));
}

async function askOne(
  server: DnsServer,
  query: Buffer,
  { transport, timeoutMs, signal }: Way,
): Promise<Buffer | undefined> {
  const request = withId(query, randomId());
  const read = (bytes: Buffer) =>
    answersQuery(bytes, request)
      ? ({ ok: true, value: bytes } as const)
      : ({ ok: false, error: 'answers another question' } as const);
  const exchange = { server, request, read, timeoutMs, signal };
  return (transport === 'udp' ? overUdp(exchange) : overTcp(exchange)).catch(() => undefined);
}

interface Way {
  readonly transport: 'udp' | 'tcp';
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export class Outside {
  readonly #servers: readonly DnsServer[];
  #pending = 0;

  constructor(servers: readonly DnsServer[]) {
    this.#servers = servers;
  }

  /** The first answer of a server, under the query's own id; undefined when none of them answers, or too many are asked already. */
  async ask(query: Buffer, transport: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    if (this.#pending >= MAX_OUTSIDE) return undefined;
    this.#pending += 1;
    const way = { transport, timeoutMs: TOTAL_MS / this.#servers.length, signal: AbortSignal.timeout(TOTAL_MS) };
    try {
      for (const server of this.#servers) {
        const answer = await askOne(server, query, way);
        if (answer) return withId(answer, query.readUInt16BE(0));
      }
      return undefined;
    } finally {
      this.#pending -= 1;
    }
  }
}
