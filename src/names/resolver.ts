/** From a query to its answer: decides who knows, asks them, and says it in DNS. */
import { type Asker, isInside } from './directory.ts';
import { type Found, NOTHING, shuffled } from './found.ts';
import { type Answer, decodeQuery, encodeAnswer, encodeRefusal, type Query, type Rcode } from './message.ts';
import { targetOf } from './name.ts';
import { otherAddress, otherService } from './other-stack.ts';
import type { Outside } from './outside.ts';
import { type OwnStack, ownAddress, ownService } from './own-stack.ts';

/** RFC 1035 section 4.2.2: the length of a message by TCP has two bytes. */
const TCP_LIMIT = 65_535;

export interface Names extends OwnStack {
  readonly domain: string;
  readonly outside: Outside;
}

export interface Request {
  readonly bytes: Buffer;
  readonly source: string;
  readonly transport: 'udp' | 'tcp';
}

/** What an asker of this stack wants to know; undefined when it is not ours to say. */
async function lookUp(names: Names, { name, type }: Query): Promise<Found | undefined> {
  const { directory } = names;
  const { self } = directory;
  const target = targetOf(name, names.domain);
  if (target.kind === 'address') {
    const peer = directory.peerAt(target.address);
    return peer && type === 'PTR' ? otherAddress(peer, self.gateway_ip, target.address) : undefined;
  }
  if (target.kind === 'other') return undefined;
  const peer = directory.peer(target.stack);
  // The domain may have names of others in it (host.docker.internal, a cloud's own): only known stacks are ours.
  if (!peer && target.stack !== self.stack_id) return undefined;
  if (target.kind === 'stack') return NOTHING;
  return peer ? otherService(peer, self.gateway_ip, target.service, type) : ownService(names, target.service, type);
}

/** What another stack's router may ask: this stack's services, and the names of their addresses. */
async function lookUpForPeer(names: Names, { name, type }: Query): Promise<Found | undefined> {
  const target = targetOf(name, '');
  const { self } = names.directory;
  if (target.kind === 'service' && target.stack === self.stack_id)
    return ownService({ ...names, hasIpv6: undefined }, target.service, type);
  if (target.kind === 'address' && type === 'PTR' && isInside(self, target.address))
    return ownAddress(names, target.address);
  return undefined;
}

function answersOf(found: Found, type: string, domain: string): { rcode: Rcode; answers: Answer[] } {
  if (found.kind === 'unknown') return { rcode: 'NXDOMAIN', answers: [] };
  if (found.kind === 'failed') return { rcode: 'SERVFAIL', answers: [] };
  if (found.kind === 'name')
    return {
      rcode: 'NOERROR',
      answers: [{ type: 'PTR', data: domain === '' ? found.name : `${found.name}.${domain}` }],
    };
  const addresses = found.kind === 'addresses' && (type === 'A' || type === 'AAAA') ? shuffled(found.addresses) : [];
  return { rcode: 'NOERROR', answers: addresses.map((data) => ({ type: type as 'A' | 'AAAA', data })) };
}

async function forwarded(names: Names, asker: Asker, request: Request, query: Query): Promise<Buffer> {
  const limit = request.transport === 'udp' ? query.udpLimit : TCP_LIMIT;
  // Another stack's router is answered for this stack alone, and what this router asks itself would go round in circles.
  if (asker.kind !== 'stack') return encodeAnswer(query, 'REFUSED', [], limit);
  const answer = await names.outside.ask(request.bytes, request.transport);
  return answer ?? encodeAnswer(query, 'SERVFAIL', [], limit);
}

/** The answer's bytes; undefined where none is due. Never rejects for what a message holds. */
export async function resolve(names: Names, asker: Asker, request: Request): Promise<Buffer | undefined> {
  const query = decodeQuery(request.bytes);
  if (query === undefined) return undefined;
  if (typeof query === 'string') return encodeRefusal(request.bytes, query);
  const forPeer = asker.kind === 'peer';
  const found = await (forPeer ? lookUpForPeer(names, query) : lookUp(names, query));
  if (!found) return forwarded(names, asker, request, query);
  const { rcode, answers } = answersOf(found, query.type, forPeer ? '' : names.domain);
  return encodeAnswer(query, rcode, answers, request.transport === 'udp' ? query.udpLimit : TCP_LIMIT);
}
