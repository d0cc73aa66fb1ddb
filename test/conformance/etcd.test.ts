/** etcd against the conformance suite: one real member on a network of its own. */
import type { StackRecord } from '../../src/record/record.ts';
import { EtcdCluster, etcdConfig, installEtcd } from '../etcd/server.ts';
import { createSource } from './etcd-source.ts';
import { HOST_IP } from './network.ts';
import { conformance, type Harness, inPrivateNetwork, spawnStack } from './suite.ts';

const PREFIX = '/docker-router/discovery';

class EtcdHarness implements Harness {
  readonly hostIp = HOST_IP;
  readonly sameId = 'second refused';
  /** A lease of 3 s; etcd looks for expired ones twice a second. */
  readonly within = { seen: 10_000, left: 1500, dead: 10_000 };
  #cluster: EtcdCluster | undefined;

  readonly outage = {
    begin: async () => this.#cluster!.members[0]!.kill(),
    end: async () => {
      this.#cluster!.members[0]!.start();
      await this.#cluster!.healthy();
    },
  };

  async start(): Promise<void> {
    this.#cluster = await EtcdCluster.start(1);
  }

  async stop(): Promise<void> {
    await this.#cluster?.stop();
  }

  create(record: StackRecord) {
    return createSource(this.#config, record);
  }

  async spawn(record: StackRecord) {
    return await spawnStack({
      module: new URL('./etcd-source.ts', import.meta.url).href,
      options: this.#config,
      record,
    });
  }

  async injectGarbage(): Promise<void> {
    const put = (key: string, value: string) => this.#cluster!.ctl(['put', '--', key, value]);
    await put(`${PREFIX}/junk/record`, 'hello');
    await put(`${PREFIX}/other/thing`, '{}');
    await put(`${PREFIX}//record`, '{}');
    await put(`${PREFIX}/`, '');
    await put(`${PREFIX}/huge/record`, 'x'.repeat(100_000));
    await put(`${PREFIX}/deep/record`, '['.repeat(3000));
    await put(`${PREFIX}/\ufffd"\n/record`, 'null');
    await put(`${PREFIX}/evil/record`, JSON.stringify({ stack_id: '../../etc', vni: -1 }));
    await put('/docker-router/discovery0', 'a neighbour of the prefix');
  }

  get #config() {
    return etcdConfig(this.#cluster!.urls, { prefix: PREFIX });
  }
}

installEtcd();
await inPrivateNetwork(import.meta.url);
conformance('etcd', new EtcdHarness());
