/** What the map's server sends to its page, as JSON. Types alone: the page is compiled by itself. */

/** good: measured. known: not measured (yet). The others need somebody, and `words` says for what. */
export type Health = 'good' | 'known' | 'lossy' | 'stale' | 'waiting' | 'broken' | 'refused';

export interface MapPeer {
  /** Tells two stacks of one id apart. */
  readonly key: string;
  readonly stack: string;
  readonly host: string;
  readonly vni: number;
  readonly endpoint: string;
  readonly subnets: readonly string[];
  readonly gateway: string;
  readonly source: string;
  /** ISO 8601. */
  readonly lastSeen: string;
  readonly health: Health;
  readonly words: string;
  readonly roundTripMs?: number;
  /** Share of the last probes, 0 to 1. */
  readonly loss?: number;
  readonly receivedBytes?: number;
}

export interface MapSelf {
  readonly stack: string;
  readonly host: string;
  readonly vni: number;
  readonly endpoint: string;
  readonly subnets: readonly string[];
  readonly gateway: string;
  readonly underlay: string;
  readonly mtu?: number;
  readonly sources: readonly string[];
  readonly problems: readonly string[];
}

export interface MapView {
  readonly generated: string;
  /** When the measurements are of; absent when there are none, or old ones. */
  readonly measured?: string;
  /** Why there is nothing to show. */
  readonly problem?: string;
  readonly self?: MapSelf;
  readonly peers: readonly MapPeer[];
  /** How many stacks are not among `peers`, all of them well. */
  readonly hidden: number;
}
