/** The names of another stack, from its router, over the overlay. What it says counts only for its own subnets. */
import { ask, DNS_PORT } from './ask.ts';
import { isInside, type Peer } from './directory.ts';
import { FAILED, type Found, NOTHING, UNKNOWN } from './found.ts';
import type { Reply } from './message.ts';
import { reverseName, targetOf } from './name.ts';

/** Together less than the 2 s within which a stack that cannot be reached has to be told as such. */
const TRIES_MS = [300, 500, 700];
const DEADLINE_MS = 1800;
/** More replicas than this do not fit into a message of 16 KB. */
const MAX_ADDRESSES = 400;

async function askPeer(peer: Peer, from: string, name: string, type: string): Promise<Reply | undefined> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const server = { address: peer.gateway_ip, port: DNS_PORT };
  return ask({ server, name, type, from, triesMs: TRIES_MS, signal }).catch(() => undefined);
}

export async function otherService(peer: Peer, from: string, service: string, type: string): Promise<Found> {
  const reply = await askPeer(peer, from, `${service}.${peer.stack_id}`, type);
  if (reply?.rcode === 'NXDOMAIN') return UNKNOWN;
  if (reply?.rcode !== 'NOERROR') return FAILED;
  const said = reply.answers.filter((answer) => answer.type === type);
  const addresses = said.map(({ data }) => data).filter((address) => isInside(peer, address));
  if (addresses.length > 0) return { kind: 'addresses', addresses: addresses.slice(0, MAX_ADDRESSES) };
  return said.length > 0 && type === 'A' ? FAILED : NOTHING;
}

export async function otherAddress(peer: Peer, from: string, address: string): Promise<Found> {
  const reply = await askPeer(peer, from, reverseName(address), 'PTR');
  if (reply?.rcode === 'NXDOMAIN') return UNKNOWN;
  if (reply?.rcode !== 'NOERROR') return FAILED;
  const name = reply.answers.find(({ type }) => type === 'PTR')?.data ?? '';
  const target = targetOf(name, '');
  if (target.kind !== 'service' || target.stack !== peer.stack_id) return UNKNOWN;
  return { kind: 'name', name };
}
