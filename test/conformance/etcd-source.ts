/** The etcd source as the conformance suite runs it. */
import type { EtcdConfig } from '../../src/config/etcd-config.ts';
import { EtcdSource } from '../../src/sources/etcd/etcd.ts';
import type { Source } from '../../src/sources/source.ts';

export function createSource(config: unknown): Source {
  return new EtcdSource(config as EtcdConfig);
}
