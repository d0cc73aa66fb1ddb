/** The faults, each with its promise in terms of the world's ANNOUNCE_INTERVAL, PEER_TIMEOUT and RESYNC_INTERVAL. */
import { badLine, crowdComesAndGoes, dockerdRestart, hostOff, linkDown, linkFlap, oneWay } from './host-faults.ts';
import {
  composeRestart,
  damage,
  inVolume,
  pause,
  signal,
  subnetMoved,
  volumeLost,
  volumeReadOnly,
} from './stack-faults.ts';
import { type Fault, FIND, SLACK } from './stage.ts';
import { TIMES } from './world.ts';

const { PEER_TIMEOUT, RESYNC_INTERVAL } = TIMES;
const HEAL = RESYNC_INTERVAL + SLACK;
const GARBAGE = `head -c 3000 /dev/urandom`;

export const FAULTS: readonly Fault[] = [
  {
    name: 'nothing',
    promise: 'what the machine itself loses, to hold the other figures against',
    within: SLACK,
    run: (stage) => stage.sleep(5000),
  },
  {
    name: 'discovery-killed',
    promise: 'at once, no probe lost',
    within: SLACK,
    lossless: true,
    run: signal('discovery', 'KILL'),
  },
  {
    name: 'router-process-killed',
    promise: 'at once, no probe lost',
    within: SLACK,
    lossless: true,
    run: signal('router', 'KILL'),
  },
  {
    name: 'discovery-stopped',
    promise: 'no probe lost for as long as it is shorter than PEER_TIMEOUT',
    within: SLACK,
    lossless: true,
    run: pause('discovery', 4),
  },
  { name: 'router-process-stopped', promise: 'no probe lost', within: SLACK, lossless: true, run: pause('router', 5) },
  {
    name: 'router-restarted',
    promise: 'at most 1.5 s without forwarding',
    within: SLACK,
    mostGapMs: 1500,
    run: (stage) => composeRestart(stage, 'router'),
  },
  {
    name: 'discovery-restarted',
    promise: 'no probe lost: it leaves quietly while its router goes on',
    within: SLACK,
    lossless: true,
    run: (stage) => composeRestart(stage, 'discovery'),
  },
  {
    name: 'both-restarted',
    promise: 'restart + 3 s',
    within: SLACK,
    run: (stage) => composeRestart(stage, 'router discovery'),
  },
  {
    name: 'stack-lost-its-volume',
    promise: 'gone at once, back after its start + ANNOUNCE_INTERVAL',
    within: FIND + SLACK,
    run: volumeLost,
  },
  { name: 'subnet-moved', promise: 'after both starts + ANNOUNCE_INTERVAL', within: FIND + SLACK, run: subnetMoved },
  {
    name: 'engine-killed',
    promise: 'after the engine is back + ANNOUNCE_INTERVAL',
    within: FIND + PEER_TIMEOUT,
    run: dockerdRestart,
  },
  {
    name: 'host-off-and-on',
    promise: 'gone after PEER_TIMEOUT, back after boot + ANNOUNCE_INTERVAL',
    within: FIND + PEER_TIMEOUT,
    run: hostOff,
  },
  {
    name: 'link-down-and-up',
    promise: 'gone after PEER_TIMEOUT, back within ANNOUNCE_INTERVAL',
    within: FIND,
    run: linkDown,
  },
  { name: 'link-flaps', promise: 'within 1 s', within: SLACK, run: linkFlap },
  { name: 'link-cut-one-way', promise: 'within ANNOUNCE_INTERVAL after it ends', within: FIND, run: oneWay },
  {
    name: 'loss-30-percent',
    promise: 'peers stay; at once after it ends',
    within: FIND,
    run: badLine('numgen random mod 10 < 3 drop', 6),
  },
  {
    name: 'one-megabit',
    promise: 'peers stay; at once after it ends',
    within: FIND,
    run: badLine('limit rate over 125 kbytes/second drop', 6),
  },
  {
    name: 'multicast-lost',
    promise: 'peers stay until PEER_TIMEOUT; back within ANNOUNCE_INTERVAL',
    within: FIND,
    run: badLine('ip daddr 239.1.1.1 drop', 5),
  },
  {
    name: 'multicast-lost-for-long',
    promise: 'back within ANNOUNCE_INTERVAL',
    within: FIND,
    run: badLine('ip daddr 239.1.1.1 drop', PEER_TIMEOUT + 2),
  },
  {
    name: 'crowd-comes-and-goes',
    promise:
      '200 stacks joining and leaving within a minute: routed within ANNOUNCE_INTERVAL, gone at once, no probe between the others lost',
    within: FIND,
    lossless: true,
    run: crowdComesAndGoes,
  },
  {
    name: 'route-deleted',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage((_, { net }) => `ip route del ${net}.0/24 proto 157`),
  },
  {
    name: 'route-altered',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage(
      ({ net: own }, { net }) =>
        `ip route replace ${net}.0/24 via ${own}.1 dev eth0 proto 157 metric $(ip -4 route show ${net}.0/24 | sed -n "s/.*metric \\([0-9]*\\).*/\\1/p")`,
    ),
  },
  {
    name: 'routes-all-deleted',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage(() => 'ip route flush dev vxlan0'),
  },
  {
    name: 'neighbours-deleted',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage((_, { net }) => `ip neigh del ${net}.2 dev vxlan0`),
  },
  {
    name: 'neighbour-altered',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage((_, { net }) => `ip neigh replace ${net}.2 lladdr 02:00:00:00:00:99 dev vxlan0 nud permanent`),
  },
  {
    name: 'fdb-deleted',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage(
      () =>
        'bridge fdb show dev vxlan0 | head -n 3 | while read -r mac rest; do bridge fdb del $mac dev vxlan0 $(echo $rest | grep -o "dst [0-9.]* \\(port [0-9]*\\)\\?"); done',
    ),
  },
  {
    name: 'fdb-added',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage(() => 'bridge fdb append 02:00:00:00:00:77 dev vxlan0 dst 10.77.0.99 port 4789'),
  },
  {
    name: 'nft-elements-deleted',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage(() => 'nft flush set netdev docker_router sources_24'),
  },
  {
    name: 'nft-chain-flushed',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage(() => 'nft flush chain netdev docker_router from_overlay'),
  },
  {
    name: 'nft-table-deleted',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage(() => 'nft delete table netdev docker_router'),
  },
  { name: 'tunnel-down', promise: 'RESYNC_INTERVAL', within: HEAL, run: damage(() => 'ip link set vxlan0 down') },
  { name: 'tunnel-deleted', promise: 'RESYNC_INTERVAL', within: HEAL, run: damage(() => 'ip link delete vxlan0') },
  {
    name: 'gateway-address-deleted',
    promise: 'RESYNC_INTERVAL',
    within: HEAL,
    run: damage(({ net }) => `ip address del ${net}.2/32 dev eth0`),
  },
  {
    name: 'discovery-file-truncated',
    promise: 'no probe lost; the last good file counts',
    within: SLACK,
    lossless: true,
    run: inVolume('truncate -s 700 discovery.json'),
  },
  {
    name: 'discovery-file-garbage',
    promise: 'no probe lost',
    within: SLACK,
    lossless: true,
    run: inVolume(`${GARBAGE} >discovery.json`),
  },
  {
    name: 'discovery-file-deleted',
    promise: 'no probe lost',
    within: SLACK,
    lossless: true,
    run: inVolume('rm -f discovery.json'),
  },
  {
    name: 'router-file-garbage',
    promise: 'no probe lost',
    within: SLACK,
    lossless: true,
    run: inVolume(`${GARBAGE} >router.json`),
  },
  {
    name: 'router-file-deleted',
    promise: 'no probe lost',
    within: SLACK,
    lossless: true,
    run: inVolume('rm -f router.json'),
  },
  {
    name: 'volume-read-only',
    promise: 'no probe lost, also when Discovery starts meanwhile',
    within: SLACK,
    lossless: true,
    run: volumeReadOnly,
  },
  {
    name: 'files-garbage-and-killed',
    promise: 'PEER_TIMEOUT',
    within: PEER_TIMEOUT + SLACK,
    run: async (stage) => {
      await inVolume(`${GARBAGE} >discovery.json; ${GARBAGE} >router.json; touch discovery.json.deadbeef.tmp`)(stage);
      await signal('discovery', 'KILL')(stage);
      await signal('router', 'KILL')(stage);
    },
  },
];
