/** The names of this stack's own services, from Docker's embedded name server. */
import type { DnsServer } from '../config/dns-config.ts';
import { ask } from './ask.ts';
import { type Directory, isInside } from './directory.ts';
import { FAILED, type Found, NOTHING, UNKNOWN } from './found.ts';
import type { Answer, Reply } from './message.ts';
import { reverseName, serviceCandidates } from './name.ts';

/** Docker knows its names without asking anybody: this long after another one was answered, it is asking outside. */
const GRACE_MS = 300;
const DOCKER_MS = 1000;

export interface OwnStack {
  readonly docker: DnsServer;
  readonly directory: Directory;
  /** An address of this router that Docker gave it, so that Docker has a name for it. */
  readonly dockerAddress: string | undefined;
  /** Whether an IPv6 address is one of this stack's network. Not given where another stack asks: the tunnels carry IPv4 alone. */
  readonly hasIpv6?: ((address: string) => boolean) | undefined;
}

const sleep = (ms: number, signal: AbortSignal) =>
  new Promise<undefined>((resolve) => {
    const timer = setTimeout(() => resolve(undefined), ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });

/**
 * Docker's reply; `outside` when it does not know the name. What Docker does not know it asks its own resolvers, and where these are far
 * or away that takes seconds. A question that it can surely answer tells the two apart: it asks each in a task of its own.
 * undefined when Docker does not answer at all.
 */
async function askDocker(own: OwnStack, name: string, type: string): Promise<Reply | 'outside' | undefined> {
  const stop = new AbortController();
  const question = { server: own.docker, triesMs: [DOCKER_MS], signal: stop.signal };
  const answered = ask({ ...question, name, type }).catch(() => undefined);
  const canary = async () => {
    await sleep(50, stop.signal);
    if (stop.signal.aborted || own.dockerAddress === undefined) return answered;
    const alive = await ask({ ...question, name: reverseName(own.dockerAddress), type: 'PTR' }).catch(() => undefined);
    if (!alive) return answered;
    await sleep(GRACE_MS, stop.signal);
    return 'outside' as const;
  };
  try {
    return await Promise.race([answered, canary()]);
  } finally {
    stop.abort(new Error('settled'));
  }
}

function inStack({ directory, hasIpv6 }: OwnStack, answers: readonly Answer[], type: string): string[] {
  const inside = (address: string) =>
    type === 'AAAA' ? hasIpv6?.(address) === true : isInside(directory.self, address);
  return answers.filter((answer) => answer.type === type && inside(answer.data)).map(({ data }) => data);
}

/** Addresses of a service, a container or an alias. */
export async function ownService(own: OwnStack, service: string, type: string): Promise<Found> {
  // Another type has nothing to give, but whether the name exists is known by its addresses.
  const asked = type === 'AAAA' ? 'AAAA' : 'A';
  const reply = await askDocker(own, service, asked);
  if (reply === undefined) return FAILED;
  if (reply === 'outside' || reply.rcode !== 'NOERROR') return UNKNOWN;
  const addresses = inStack(own, reply.answers, asked);
  if (addresses.length > 0) return type === asked ? { kind: 'addresses', addresses } : NOTHING;
  if (reply.answers.length === 0) return NOTHING;
  // Addresses elsewhere: of IPv6, which the tunnels do not carry, or of a name that Docker did not know and somebody outside answers.
  return type === 'AAAA' ? ownService(own, service, 'ANY') : UNKNOWN;
}

/** `SERVICE.STACK` of an address of this stack. A name counts only if it leads back to the address. */
export async function ownAddress(own: OwnStack, address: string): Promise<Found> {
  const reply = await askDocker(own, reverseName(address), 'PTR');
  if (reply === undefined) return FAILED;
  if (reply === 'outside') return UNKNOWN;
  for (const { data } of reply.answers.filter(({ type }) => type === 'PTR').slice(0, 4)) {
    for (const service of serviceCandidates(data)) {
      const found = await ownService(own, service, 'A');
      if (found.kind === 'addresses' && found.addresses.includes(address))
        return { kind: 'name', name: `${service}.${own.directory.self.stack_id}` };
    }
  }
  return UNKNOWN;
}
