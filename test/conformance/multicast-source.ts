/** The multicast source as the conformance suite runs it. */
import type { MulticastConfig } from '../../src/config/discovery-config.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { MulticastSource } from '../../src/sources/multicast/multicast.ts';
import type { Source } from '../../src/sources/source.ts';
import { envelopeOf } from './envelope.ts';

/** Short, so that a killed stack is given up after 3.5 s: three intervals are more than the timeout. */
export const CONFIG: MulticastConfig = { group: '239.1.1.1', port: 4790, ttl: 1, announceIntervalMs: 1000 };
const PEER_TIMEOUT_MS = 2000;

export function createSource(_options: unknown, record: StackRecord): Source {
  return new MulticastSource(CONFIG, PEER_TIMEOUT_MS, envelopeOf(record));
}
