/** Everything that is not ours goes on as it came, to the resolvers that the router has. */
import { isIP } from 'node:net';
import type { DnsServer } from '../config/dns-config.ts';
import { overTcp, overUdp } from '../sources/dns/transport.ts';
import { DNS_PORT, randomId } from './ask.ts';
import { answersQuery, withId } from './message.ts';

/** Docker gives up on a server after 4 s; several share that. */
const TOTAL_MS = 3800;
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

/** The first answer of a server, under the query's own id; undefined when none of them answers. */
export async function askOutside(
  servers: readonly DnsServer[],
  query: Buffer,
  transport: 'udp' | 'tcp',
): Promise<Buffer | undefined> {
  const signal = AbortSignal.timeout(TOTAL_MS);
  for (const server of servers) {
    const request = withId(query, randomId());
    const read = (bytes: Buffer) =>
      answersQuery(bytes, request)
        ? ({ ok: true, value: bytes } as const)
        : ({ ok: false, error: 'answers another question' } as const);
    const exchange = { server, request, read, timeoutMs: TOTAL_MS / servers.length, signal };
    const answer = await (transport === 'udp' ? overUdp(exchange) : overTcp(exchange)).catch(() => undefined);
    if (answer) return withId(answer, query.readUInt16BE(0));
  }
  return undefined;
}
