/** The DNS source as the conformance suite runs it. */
import type { StackRecord } from '../../src/record/record.ts';
import { DnsSource } from '../../src/sources/dns/dns.ts';
import type { Source } from '../../src/sources/source.ts';
import { DOMAIN, testKey } from '../dns/bind.ts';
import { envelopeOf } from './envelope.ts';

export const SERVER = { address: '127.0.0.1', port: 53 };
/** Short, so that a killed stack is given up after 9 s, and long enough that a busy machine loses no living one. */
const INTERVAL_MS = 1000;
const PEER_TIMEOUT_MS = 9000;

export function createSource(_options: unknown, record: StackRecord): Source {
  const update = { server: SERVER, key: testKey() };
  const config = { domain: DOMAIN, servers: [SERVER], update, ttlSeconds: 1, intervalMs: INTERVAL_MS };
  return new DnsSource(config, PEER_TIMEOUT_MS, undefined, envelopeOf(record));
}
