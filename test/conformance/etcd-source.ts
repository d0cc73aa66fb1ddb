/** The etcd source as the conformance suite runs it. */
import type { EtcdConfig } from '../../src/config/etcd-config.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { EtcdSource } from '../../src/sources/etcd/etcd.ts';
import type { Source } from '../../src/sources/source.ts';
import { envelopeOf } from './envelope.ts';

export function createSource(config: unknown, record: StackRecord): Source {
  return new EtcdSource(config as EtcdConfig, envelopeOf(record));
}
