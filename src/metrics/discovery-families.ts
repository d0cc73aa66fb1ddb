/** What discovery knows -> metrics. Pure. */
import type { Dropped } from '../discovery/dropped-input.ts';
import { type DiscoveryFile, PEER_STATUSES, type SourceState } from '../state/discovery-file.ts';
import { counter, type Family, gauge, tally } from './family.ts';

export interface DiscoveryKnows {
  /** The last discovery.json; undefined before the first one. */
  readonly file: Pick<DiscoveryFile, 'self' | 'peers'> | undefined;
  readonly sources: Iterable<readonly [name: string, state: SourceState]>;
  /** How often, by `SOURCE KIND`. */
  readonly dropped: Iterable<readonly [kind: string, dropped: Pick<Dropped, 'count'>]>;
}

export function discoveryFamilies({ file, sources, dropped }: DiscoveryKnows): Family[] {
  const peers = file?.peers ?? [];
  // A hostile sender can invent names of peers: only accepted ones, whose subnets are their own, have a series.
  const accepted = peers.filter(({ status }) => status !== 'rejected');
  return [
    gauge(
      'docker_router_discovery_peers',
      'Other stacks, by their status in discovery.json.',
      tally(
        'status',
        PEER_STATUSES,
        peers.map(({ status }) => status),
      ),
    ),
    gauge(
      'docker_router_discovery_peer_last_seen_timestamp_seconds',
      'When a stack was heard of last, since 1970.',
      accepted.map(({ stack_id: peer, last_seen }) => ({ labels: { peer }, value: Date.parse(last_seen) / 1000 })),
    ),
    gauge(
      'docker_router_discovery_accepted',
      '0 when the others reject this stack; discovery.json says why.',
      file && (file.self.status === 'rejected' ? 0 : 1),
    ),
    gauge(
      'docker_router_discovery_source_up',
      '1 when a source of discovery works, otherwise 0.',
      [...sources].map(([source, { state }]) => ({ labels: { source }, value: state === 'ok' ? 1 : 0 })),
    ),
    counter(
      'docker_router_discovery_dropped_total',
      'Input that was dropped, by source and kind.',
      [...dropped].map(([key, { count: value }]) => {
        const [source = '', ...kind] = key.split(' ');
        return { labels: { source, kind: kind.join(' ') }, value };
      }),
    ),
  ];
}
