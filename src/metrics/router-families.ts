/** What the router knows -> metrics. Pure. */
import type { PeerEntry } from '../state/discovery-file.ts';
import type { Problem } from '../state/router-file.ts';
import type { PeerStatus } from '../state/status-file.ts';
import { CONDITIONS, condition } from '../status/view.ts';
import { counter, type Family, gauge, type Sample, tally } from './family.ts';

export interface RouterKnows {
  /** All that discovery.json names. */
  readonly peers: readonly PeerEntry[];
  readonly measured: readonly PeerStatus[];
  readonly routes: number;
  readonly problems: readonly Pick<Problem, 'code'>[];
  readonly passes: { readonly ok: number; readonly failed: number };
  readonly changes: number;
  /** Of the last pass; undefined before the first one. */
  readonly lastPass: { readonly wallMs: number; readonly tookMs: number } | undefined;
}

type Value = (measured: PeerStatus) => number | undefined;

const PER_PEER: readonly [make: typeof gauge, name: string, help: string, value: Value][] = [
  [
    gauge,
    'round_trip_seconds',
    'Median round trip of the last probes through the tunnel.',
    ({ round_trip_ms: ms }) => (ms === undefined ? undefined : ms / 1000),
  ],
  [gauge, 'loss_ratio', 'Share of the last probes without an answer, 0 to 1.', ({ loss }) => loss],
  [
    gauge,
    'last_answer_timestamp_seconds',
    'Last answer to a probe, since 1970.',
    ({ last_answer: at }) => (at === undefined ? undefined : Date.parse(at) / 1000),
  ],
  [counter, 'received_bytes_total', 'Bytes that came from the stack.', (measured) => measured.received_bytes],
  [counter, 'received_packets_total', 'Packets that came from the stack.', (measured) => measured.received_packets],
];

function peerFamilies({ peers, measured }: RouterKnows): Family[] {
  const by = new Map(measured.map((one) => [one.stack_id, one]));
  // What was measured is the accepted claim's, as in docker-router status.
  const of = (peer: PeerEntry) => (peer.status === 'rejected' ? undefined : by.get(peer.stack_id));
  const conditions = peers.map((peer) => ({ peer: peer.stack_id, is: condition(peer, of(peer)) }));
  const probed = conditions.filter(({ is }) => is === 'ok' || is === 'stale' || is === 'unreachable');
  const reachable: Sample[] = probed.map(({ peer, is }) => ({ labels: { peer }, value: is === 'unreachable' ? 0 : 1 }));
  return [
    gauge(
      'docker_router_peers',
      'Other stacks, by what docker-router status says of them.',
      tally(
        'condition',
        CONDITIONS,
        conditions.map(({ is }) => is),
      ),
    ),
    gauge('docker_router_peer_reachable', '1 when the router of that stack answers through the tunnel.', reachable),
    ...PER_PEER.map(([make, name, help, value]) =>
      make(
        `docker_router_peer_${name}`,
        help,
        measured.flatMap((one) => {
          const found = value(one);
          return found === undefined ? [] : [{ labels: { peer: one.stack_id }, value: found }];
        }),
      ),
    ),
  ];
}

export function routerFamilies(knows: RouterKnows): Family[] {
  const { routes, problems, passes, changes, lastPass } = knows;
  const codes = problems.map(({ code }) => code);
  return [
    ...peerFamilies(knows),
    gauge('docker_router_routes', 'Subnets of other stacks that have a route in the kernel.', routes),
    gauge('docker_router_problems', 'What keeps this stack from working, by code.', tally('code', [], codes)),
    counter('docker_router_kernel_changes_total', 'Entries set or removed in the kernel.', changes),
    counter(
      'docker_router_passes_total',
      'Comparisons of the kernel with what it should have, by outcome.',
      Object.entries(passes).map(([result, value]) => ({ labels: { result }, value })),
    ),
    gauge(
      'docker_router_last_pass_timestamp_seconds',
      'End of the last pass, since 1970.',
      lastPass && lastPass.wallMs / 1000,
    ),
    gauge(
      'docker_router_last_pass_duration_seconds',
      'Time that the last pass took.',
      lastPass && lastPass.tookMs / 1000,
    ),
  ];
}
