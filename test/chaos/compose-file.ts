/** The six stacks and their compose files. */
import type { SourceName } from '../../src/config/discovery-config.ts';

/** Short times, so that a fault's end is seen soon; what is promised is said in terms of them. */
export const TIMES = { ANNOUNCE_INTERVAL: 2, PEER_TIMEOUT: 8, RESYNC_INTERVAL: 5 } as const;

export const STACKS = [
  ['one', 1, '172.21.1'],
  ['two', 1, '172.21.2'],
  ['three', 2, '172.21.3'],
  ['four', 2, '172.21.4'],
  ['five', 3, '172.21.5'],
  ['six', 3, '172.21.6'],
] as const;
export const HOSTS = [1, 2, 3];
/** The stack whose volume is a small file system of its own, which can be full. */
export const SMALL = 'six';
export const SMALL_FOLDER = '/root/small';

export interface WorldStack {
  readonly name: string;
  readonly host: number;
  net: string;
  /** Tag of the images: those of an earlier commit, or these. */
  images: 'latest' | 'previous';
}

const SERVERS = HOSTS.map((host) => `10.77.0.${host}`);
const MODES: Readonly<Record<SourceName, Readonly<Record<string, string>>>> = {
  multicast: {},
  etcd: { ETCD_ENDPOINTS: SERVERS.map((server) => `http://${server}:2379`).join(','), ETCD_LEASE_TTL: '8s' },
  dns: {
    DNS_DOMAIN: 'docker.example',
    DNS_UPDATE_SERVER: `${SERVERS[0]}:5300`,
    DNS_TSIG_SECRET_FILE: '/root-key/docker-router.key',
    DNS_INTERVAL: '1s',
    DNS_TTL: '2',
  },
  gossip: { GOSSIP_SEEDS: SERVERS.join(',') },
};

export function composeFile({ name, net, images }: WorldStack, probeMs: number, source: SourceName): string {
  const { ANNOUNCE_INTERVAL, PEER_TIMEOUT, RESYNC_INTERVAL } = TIMES;
  // A daemon with a clock that a fault can put wrong, and that tells how many timers it has.
  const loaded = `NODE_OPTIONS: "--import=/chaos/clock.mjs --import=/chaos/timers.mjs"`;
  const volumes = '"/repo/test/chaos:/chaos:ro", "/root/clock:/chaos-clock:ro", "/root/dns:/root-key:ro"';
  const mode = Object.entries({ DISCOVERY_MODE: source, ...MODES[source] }).map(([key, value]) => `${key}: "${value}"`);
  const small = `driver_opts: { type: none, o: bind, device: ${SMALL_FOLDER} }`;
  return `name: ${name}
services:
  web:
    image: docker-router-service
    command: ["node", "/chaos/prober.mjs", "${name}", "${probeMs}"]
    volumes: ["/repo/test/chaos:/chaos:ro", "/repo/dist/chaos:/chaos-bin:ro"]
    restart: unless-stopped
    stop_signal: SIGKILL
  discovery:
    extends: { file: /repo/examples/docker-router.yml, service: discovery }
    image: docker-router-discovery:${images}
    environment: { ANNOUNCE_INTERVAL: "${ANNOUNCE_INTERVAL}s", PEER_TIMEOUT: "${PEER_TIMEOUT}s", ${mode.join(', ')}, ${loaded} }
    volumes: [${volumes}]
  router:
    extends: { file: /repo/examples/docker-router.yml, service: router }
    image: docker-router:${images}
    environment: { RESYNC_INTERVAL: "${RESYNC_INTERVAL}s", ${loaded} }
    volumes: [${volumes}]
networks:
  default: { ipam: { config: [{ subnet: ${net}.0/24, gateway: ${net}.1, aux_addresses: { DefaultGatewayIPv4: ${net}.2 } }] } }
volumes: { docker-router: { ${name === SMALL ? small : ''} } }
`;
}

/** A line of shell that makes what the stacks of a host need, when it has booted, and takes back what an interrupted campaign left. */
export function prepareHost(host: number): string {
  const address = `10.77.0.${host}/24`;
  const own = `ip -4 address show dev eth0 | grep -q 'inet ${address} ' || { ip -4 address flush dev eth0; ip address add ${address} dev eth0; ip route replace default via 10.77.0.254; }`;
  const rules = 'for t in chaos servers; do nft delete table netdev $t 2>/dev/null; done';
  const small = `mkdir -p ${SMALL_FOLDER}; mountpoint -q ${SMALL_FOLDER} || mount -t tmpfs -o size=512k,mode=775,uid=10001,gid=0 tmpfs ${SMALL_FOLDER}`;
  const isSmall = STACKS.some(([name, where]) => name === SMALL && where === host);
  return `${own}; ${rules}; mkdir -p /root/clock /root/dns; echo 0 >/root/clock/offset${isSmall ? `; ${small}` : ''}`;
}
