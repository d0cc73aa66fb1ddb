/** What is deleted or altered by hand in a router's kernel. */

import { TIMES } from './compose-file.ts';
import { damage } from './stack-faults.ts';
import { type Fault, SLACK } from './stage.ts';

const HEAL = TIMES.RESYNC_INTERVAL + SLACK;

const ALL: readonly Fault[] = [
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
];

export const KERNEL_FAULTS: readonly Fault[] = ALL.map((fault) => ({ ...fault, mixes: true, local: true }));
