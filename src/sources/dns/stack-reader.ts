/** Reads what a zone says of one stack. Throws only where the server itself fails. */
import type { DnsServer } from '../../config/dns-config.ts';
import { ask } from './ask.ts';
import { type Parts, preferred } from './entry.ts';
import type { Answer, RecordType, Resource } from './message.ts';
import { queryRefused } from './words.ts';

/** `passing`: the zone may well say it, but it cannot be read now; what was known stays true. */
export type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: string; readonly passing: boolean; readonly kind?: string };

export function dataOf<T extends Resource['type']>(records: readonly Resource[], name: string, type: T) {
  const match = (one: Resource) => one.type === type && one.name === name;
  return records.filter(match).map(({ data }) => data as Extract<Resource, { type: T }>['data']);
}

function failure(answer: Answer, type: RecordType, server: DnsServer, name: string) {
  const cannot = answer.rcode !== 'NOERROR' && answer.rcode !== 'NXDOMAIN';
  const error = cannot ? queryRefused(answer.rcode, server, name) : `${name} has no ${type} record`;
  return { ok: false, error, passing: cannot } as const;
}

/** All TXT records of a name, at least one. @throws NoAnswer, or the signal's reason. */
export async function readText(
  server: DnsServer,
  name: string,
  signal: AbortSignal,
): Promise<Read<readonly Buffer[][]>> {
  const answer = await ask(server, { name, type: 'TXT' }, signal);
  const records = dataOf(answer.answers, name, 'TXT').map((strings) => [...strings]);
  return records.length > 0 ? { ok: true, value: records } : failure(answer, 'TXT', server, name);
}

/** The target's address may lie in another zone, whose trouble is not this server's. */
async function readAddress(server: DnsServer, target: string, signal: AbortSignal): Promise<Read<string>> {
  try {
    const answer = await ask(server, { name: target, type: 'A' }, signal);
    // Behind an alias the address has another owner; RFC 2782 forbids aliases here, people write them all the same.
    const addresses = answer.answers.flatMap((one) => (one.type === 'A' ? [one.data] : []));
    const address = addresses.sort()[0];
    return address === undefined ? failure(answer, 'A', server, target) : { ok: true, value: address };
  } catch (cause) {
    if (signal.aborted) throw cause;
    return { ok: false, error: `${target}: ${(cause as Error).message}`, passing: true };
  }
}

/** Port and address, by SRV and A. @throws NoAnswer, or the signal's reason. */
export async function readEndpoint(
  server: DnsServer,
  name: string,
  signal: AbortSignal,
): Promise<Read<Omit<Parts, 'text'>>> {
  const answer = await ask(server, { name, type: 'SRV' }, signal);
  const srv = preferred(dataOf(answer.answers, name, 'SRV'));
  if (!srv) return failure(answer, 'SRV', server, name);
  // RFC 2782: a target of "." says that the service is decidedly not available.
  if (srv.target === '.') return { ok: false, error: 'its SRV record offers nothing (target ".")', passing: false };
  // Servers add the address of the target where they know it (RFC 2782).
  const added = [...dataOf(answer.additionals, srv.target, 'A')].sort()[0];
  const address =
    added === undefined ? await readAddress(server, srv.target, signal) : ({ ok: true, value: added } as const);
  return address.ok ? { ok: true, value: { srv, address: address.value } } : address;
}
