/** Stacks with real daemons on three hosts in network namespaces, and an etcd member on each host. */
import { fileURLToPath } from 'node:url';
import { down, startDaemons, up } from '../../src/embedded/embedded.ts';
import { inside } from '../../src/embedded/namespaces.ts';
import { untilReady } from '../../src/embedded/readiness.ts';
import { hostAddress, hostNamespace, type Topology } from '../../src/embedded/topology.ts';
import { type Watched, watchLines } from '../support/watched.ts';
import { EtcdCluster } from './server.ts';

const HOSTS = ['host-1', 'host-2', 'host-3'];
export const READY_MS = 90_000;

/** `names.length` stacks, spread over three hosts. */
export function etcdTopology(prefix: string, names: readonly string[], leaseTtl: string): Topology {
  const stacks = names.map((name, i) => ({ name, host: HOSTS[i % HOSTS.length]!, subnet: `172.30.${i}.0/24` }));
  const shape = { prefix, hosts: HOSTS, stacks };
  const endpoints = HOSTS.map((host) => `http://${hostAddress(shape, host)}:2379`).join(',');
  return { ...shape, environment: { DISCOVERY_MODE: 'etcd', ETCD_ENDPOINTS: endpoints, ETCD_LEASE_TTL: leaseTtl } };
}

/** Builds it all and waits until every stack routes to every other. The daemons are there before etcd is. */
export async function buildWorld(topology: Topology): Promise<EtcdCluster> {
  await up(topology);
  const places = topology.hosts.map((host) => ({
    host: hostAddress(topology, host),
    enter: inside(hostNamespace(topology, host), []),
  }));
  const cluster = await EtcdCluster.start(places.length, { places });
  await untilReady(topology, { withinMs: READY_MS });
  return cluster;
}

export async function removeWorld(topology: Topology, cluster: EtcdCluster | undefined): Promise<void> {
  await cluster?.stop();
  await down(topology.prefix);
}

export { startDaemons };

const TRAFFIC = fileURLToPath(new URL('./traffic.mjs', import.meta.url));

/** A program of this folder's traffic.mjs, inside a namespace. */
export function traffic(namespace: string, args: readonly string[], onLine: (line: string) => void): Watched {
  return watchLines(inside(namespace, [process.execPath, TRAFFIC, ...args]), onLine);
}
