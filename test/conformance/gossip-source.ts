/** The gossip source as the conformance suite runs it: one host, all stacks on it, each finds the others through that host as the seed. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { GossipConfig } from '../../src/config/gossip-config.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { GossipSource } from '../../src/sources/gossip/gossip.ts';
import type { Source } from '../../src/sources/source.ts';
import { envelopeOf } from './envelope.ts';

export interface Options {
  readonly config: GossipConfig;
  /** Folder under which each source has one of its own. */
  readonly root: string;
}

export function createSource({ config, root }: Options, record: StackRecord): Source {
  const own = join(root, `${record.stack_id}-${randomBytes(4).toString('hex')}`);
  return new GossipSource(config, { folder: `${own}.serf`, memory: `${own}.json` }, envelopeOf(record));
}
