/** What the agent in a host is asked, and its answers: one JSON object a line, each way. */

/** What a packet of `size` bytes between hosts holds besides the agent's own bytes: outer IPv4, UDP, VXLAN, Ethernet, IPv4, UDP. */
export const PACKET_OVERHEAD = 20 + 8 + 8 + 14 + 20 + 8;
/** Of it, what is around the inner packet. */
export const TUNNEL_OVERHEAD = 50;

export interface Peer {
  /** Number of the host in this run, from 1. */
  readonly index: number;
  readonly address: string;
  readonly port: number;
}

export type Request =
  | { readonly ask: 'clock' }
  /** Makes a VXLAN device in the agent's namespace, with its socket in the host's (`handle`) or beside it. */
  | {
      readonly ask: 'device';
      readonly handle: boolean;
      readonly vni: number;
      readonly ports: readonly number[];
      readonly local: string;
      readonly index: number;
      readonly mtu: number;
    }
  | { readonly ask: 'peers'; readonly peers: readonly Peer[]; readonly sizes: readonly number[] }
  | { readonly ask: 'send'; readonly sizes: readonly number[]; readonly bursts: number }
  | { readonly ask: 'received' };

/** Number of datagrams by sender and packet size: `{ "2": { "1500": 3 } }`. */
export type Received = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface Answer {
  readonly error?: string;
  /** Milliseconds since 1970, on the host's clock. */
  readonly now?: number;
  /** UDP port that was free. */
  readonly port?: number;
  readonly received?: Received;
}
