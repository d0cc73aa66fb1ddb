/** The servers of a campaign with another source than multicast, and what befalls them: etcd's three members, a BIND, each stack's Serf. */
import type { SourceName } from '../../src/config/discovery-config.ts';
import { importDebian } from '../support/lab.ts';
import { HOSTS } from './compose-file.ts';
import { pick } from './random.ts';
import { anyStack, type Fault, SLACK, type Stage } from './stage.ts';
import type { World } from './world.ts';

const CLUSTER = HOSTS.map((host) => `m${host}=http://10.77.0.${host}:2380`).join(',');
const ETCD = (host: number) =>
  `docker run -d --name server --network host --restart unless-stopped chaos-etcd etcd --name m${host} --data-dir /etcd ` +
  `--listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://10.77.0.${host}:2379 ` +
  `--listen-peer-urls http://10.77.0.${host}:2380 --initial-advertise-peer-urls http://10.77.0.${host}:2380 ` +
  `--initial-cluster ${CLUSTER} --initial-cluster-state new --heartbeat-interval 100 --election-timeout 1000`;
const BIND =
  'cp -r /repo/examples/dns/. /root/dns/ && cd /root/dns && docker run --rm --entrypoint tsig-keygen chaos-bind docker-router >docker-router.key && ' +
  'BIND_IMAGE=chaos-bind docker compose --progress quiet -f docker-compose.names.yml up -d';

/** Starts what the world's source needs, where it is not there yet. */
export async function startServers(world: World): Promise<void> {
  // Of an earlier campaign in this lab: it would take processor time from this one.
  if (world.source !== 'etcd') await Promise.all(HOSTS.map((host) => world.shell(host).run('docker rm -f server')));
  if (world.source === 'etcd') await Promise.all(HOSTS.map((host) => startEtcd(world, host)));
  if (world.source === 'dns') await startBind(world);
}

async function startEtcd(world: World, host: number): Promise<void> {
  const shell = world.shell(host);
  if ((await shell.run('docker inspect server')).code === 0) return;
  await importDebian(host, 'chaos-etcd', ['etcd-server']);
  await shell.ok(ETCD(host));
}

async function startBind(world: World): Promise<void> {
  if ((await world.shell(1).run('test -e /root/dns/docker-router.key')).code !== 0) {
    await importDebian(1, 'chaos-bind', ['bind9', 'bind9-utils']);
    await world.shell(1).ok(BIND, 60_000);
  }
  const key = Buffer.from(await world.shell(1).ok('cat /root/dns/docker-router.key')).toString('base64');
  const put = `mkdir -p /root/dns; echo ${key} | base64 -d >/root/dns/docker-router.key; chmod 644 /root/dns/docker-router.key`;
  await Promise.all(HOSTS.map((host) => world.shell(host).ok(put)));
}

/** What the members of a source say to each other and to the stacks. */
const RULES: Readonly<Record<SourceName, readonly string[]>> = {
  etcd: ['tcp dport { 2379, 2380 } drop', 'tcp sport { 2379, 2380 } drop'],
  dns: ['udp dport 5300 drop', 'udp sport 5300 drop', 'tcp dport 5300 drop', 'tcp sport 5300 drop'],
  gossip: ['udp dport 7946-7999 drop', 'tcp dport 7946-7999 drop', 'tcp sport 7946-7999 drop'],
  multicast: [],
};

const NAME = { etcd: 'server', dns: 'docker-router-names-names-1' } as Readonly<Record<string, string>>;

/** A line of shell that brings a host's server back, where it has one: an engine that was killed does not always start it again. */
export const serverUp = (world: World): string =>
  NAME[world.source] === undefined ? 'true' : `docker start ${NAME[world.source]} >/dev/null 2>&1 || true`;

/** Where a server runs: one of etcd's members, or the only BIND. */
const someServer = ({ world, random }: Stage) => (world.source === 'dns' ? 1 : pick(random, HOSTS));

/** A member is killed, or paused, and is back after some seconds. With gossip it is the Serf of one stack. */
export function serverAway(how: 'killed' | 'paused', seconds: number) {
  return async (stage: Stage) => {
    const { world } = stage;
    if (world.source === 'gossip') return serfAway(stage, how, seconds);
    const shell = world.shell(someServer(stage));
    const name = NAME[world.source]!;
    await shell.ok(how === 'killed' ? `docker kill ${name}` : `docker pause ${name}`);
    try {
      await stage.sleep(seconds * 1000);
    } finally {
      await shell.ok(how === 'killed' ? `docker start ${name}` : `docker unpause ${name}`);
    }
  };
}

async function serfAway(stage: Stage, how: 'killed' | 'paused', seconds: number): Promise<void> {
  const stack = anyStack(stage);
  const find = `docker top ${stage.world.container(stack, 'discovery')} -eo pid,comm | awk '$2 == "serf" { print $1 }'`;
  const pid = await stage.world.on(stack, find);
  if (pid === '') throw new Error(`${stack.name} has no Serf`);
  await stage.world.on(stack, `kill -${how === 'killed' ? 'KILL' : 'STOP'} ${pid}`);
  // Serf itself calls a member dead that is silent for longer.
  await stage.sleep(Math.min(seconds, 3) * 1000);
  if (how === 'paused') await stage.world.on(stack, `kill -CONT ${pid}`);
}

/** All of etcd's members at once. */
export async function allServersKilled(stage: Stage): Promise<void> {
  const all = stage.world.source === 'dns' ? [1] : HOSTS;
  const each = (what: string) =>
    Promise.all(all.map((host) => stage.world.shell(host).ok(`docker ${what} ${NAME[stage.world.source]!}`)));
  try {
    await each('kill');
    await stage.sleep(6000);
  } finally {
    await each('start');
  }
}

/** A host cannot speak to the members on others, nor they to its own. */
export function serverCut(seconds: number) {
  return async (stage: Stage) => {
    const { world } = stage;
    const shell = world.shell(pick(stage.random, HOSTS));
    const rules = RULES[world.source].map((rule) => `'${rule}'`).join(' ');
    // In a gossip a member that nobody hears for some seconds is dead, and with DNS one that could not renew its lease: here, of 8 s.
    const time = world.source === 'etcd' ? seconds : Math.min(seconds, 2.5);
    await shell.ok(
      `printf '%s\\n' 'table netdev servers {' 'chain c {' 'type filter hook ingress device eth0 priority -10;' ${rules} '}' '}' | nft -f -`,
    );
    try {
      await stage.sleep(time * 1000);
    } finally {
      await shell.ok('nft delete table netdev servers');
    }
  };
}

const SERVERS = ['etcd', 'dns', 'gossip'] as const;

export const SERVER_FAULTS: readonly Fault[] = [
  {
    name: 'server-killed',
    promise: 'no probe lost',
    within: SLACK + 5,
    lossless: true,
    sources: SERVERS,
    run: serverAway('killed', 5),
  },
  {
    name: 'server-paused',
    promise: 'no probe lost',
    within: SLACK + 5,
    lossless: true,
    sources: SERVERS,
    run: serverAway('paused', 5),
  },
  {
    name: 'server-cut-off',
    promise: 'no probe lost',
    within: SLACK + 5,
    lossless: true,
    sources: SERVERS,
    run: serverCut(5),
  },
  {
    name: 'servers-all-killed',
    promise: 'no probe lost',
    within: SLACK + 8,
    lossless: true,
    sources: ['etcd', 'dns'],
    run: allServersKilled,
  },
];
