/**
 * The times in README's table of modes: `npm run build && node --import tsx test/modes/measure.ts [MODE ...]`. Needs root; takes five minutes,
 * nearly all of them waiting. Three hosts in network namespaces with a stack each, real daemons and routers, every variable at its default.
 */
import type { Environment } from '../../src/embedded/topology.ts';
import { Bind, DOMAIN, testKey } from '../dns/bind.ts';
import { EtcdCluster, installEtcd } from '../etcd/server.ts';
import { gossipKey } from '../gossip/serf.ts';
import { Hosts, within } from '../support/hosts.ts';

const SERVER = 'server';
const KEY = testKey();
/** Longer than any of it takes. */
const LONG_MS = 180_000;

interface Mode {
  readonly environment: (addresses: Readonly<Record<string, string>>) => Environment;
  /** Starts what the mode needs on the host SERVER. @returns what ends it. */
  readonly serve?: (hosts: Hosts) => Promise<() => Promise<unknown>>;
}

async function serveDns(hosts: Hosts): Promise<() => Promise<unknown>> {
  const place = { namespace: hosts.namespaceOf(SERVER), address: hosts.addressOf(SERVER) };
  const bind = await Bind.start({ keys: [KEY], port: 53, ...place });
  return () => bind.close();
}

async function serveEtcd(hosts: Hosts): Promise<() => Promise<unknown>> {
  const place = { host: hosts.addressOf(SERVER), enter: ['ip', 'netns', 'exec', hosts.namespaceOf(SERVER)] };
  const cluster = await EtcdCluster.start(1, { places: [place] });
  return () => cluster.stop();
}

const MODES: Readonly<Record<string, Mode>> = {
  multicast: { environment: () => ({ DISCOVERY_MODE: 'multicast' }) },
  gossip: {
    environment: (addresses) => ({
      DISCOVERY_MODE: 'gossip',
      GOSSIP_SEEDS: `${addresses['host-1']},${addresses['host-2']}`,
      GOSSIP_ENCRYPT_KEY: gossipKey(),
    }),
  },
  etcd: {
    environment: (addresses) => ({ DISCOVERY_MODE: 'etcd', ETCD_ENDPOINTS: `http://${addresses[SERVER]}:2379` }),
    serve: serveEtcd,
  },
  dns: {
    environment: (addresses) => ({
      DISCOVERY_MODE: 'dns',
      DNS_DOMAIN: DOMAIN,
      DNS_UPDATE_SERVER: addresses[SERVER],
      DNS_TSIG_NAME: KEY.name,
      DNS_TSIG_SECRET: KEY.secret.toString('base64'),
    }),
    serve: serveDns,
  },
};

async function measure(name: string, { environment, serve }: Mode): Promise<void> {
  const hosts = new Hosts({ server: SERVER, environment, multicast: name === 'multicast' });
  const [, , three] = hosts.stacks;
  const unrouted = () => hosts.unrouted(three);
  let end = async (): Promise<unknown> => undefined;
  try {
    await hosts.up(async () => {
      end = (await serve?.(hosts)) ?? end;
    });
    await within(LONG_MS, 'all pairs are connected', hosts.connecting());
    const together = hosts.age(three);
    const stopping = hosts.stop(three);
    const stopped = await within(LONG_MS, 'the stopped stack is unrouted', unrouted);
    await stopping;
    await hosts.start(three);
    await within(LONG_MS, 'one more is connected', hosts.connecting());
    const more = hosts.age(three);
    await hosts.kill(three);
    const died = await within(LONG_MS, 'the killed stack is unrouted', unrouted);
    const seconds = [together, more, stopped, died].map((ms) => `${(ms / 1000).toFixed(1)} s`.padStart(9));
    console.log(`${name.padEnd(9)} ${seconds.join(' ')}`);
  } finally {
    await end();
    await hosts.down();
  }
}

installEtcd();
console.log('mode       together  one more   stopped    killed');
const wanted = process.argv.slice(2);
for (const [name, mode] of Object.entries(MODES)) {
  if (wanted.length === 0 || wanted.includes(name)) await measure(name, mode);
}
