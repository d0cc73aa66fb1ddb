/** What the kernel shows, reduced to what the plan compares. */

export interface Link {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Resolves no neighbours. */
  readonly noarp?: true;
  /** Set for VXLAN devices only. */
  readonly vxlan?: VxlanInfo;
}

export interface VxlanInfo {
  readonly vni: number;
  readonly port: number;
  readonly local?: string;
  readonly learning: boolean;
  /** Outer UDP checksums are filled in. */
  readonly udp_csum: boolean;
  /** Its UDP socket lives in another network namespace. */
  readonly foreignUnderlay: boolean;
}

export interface Address {
  readonly device: string;
  readonly address: string;
  readonly length: number;
  readonly label: string;
}

export interface Route {
  /** `default` or a prefix with its length. */
  readonly destination: string;
  readonly via?: string;
  readonly device?: string;
  readonly protocol: string;
  readonly metric: number;
  /** Preferred source address. */
  readonly source?: string;
}

/** The tables of the overlay device. */
export interface OverlayTables {
  /** Subnet -> next hop. */
  readonly routes: ReadonlyMap<string, string>;
  /** Next hop -> VTEP MAC. */
  readonly neighbours: ReadonlyMap<string, string>;
  /** VTEP MAC -> `ADDRESS:PORT`. */
  readonly unicast: ReadonlyMap<string, string>;
  /** `ADDRESS:PORT` of every all-zeros entry. */
  readonly flood: ReadonlySet<string>;
}

export interface NftState {
  /** Chain -> comments of its rules, in order: each is a hash of the rule it stands on. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Named set or map -> its elements in canonical form. */
  readonly elements: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The policy that leads the router's own packets to `OWN_DEVICES`. */
export interface OwnPolicy {
  readonly rule: boolean;
  readonly route: boolean;
}

export interface Observed {
  readonly links: readonly Link[];
  readonly addresses: readonly Address[];
  readonly routes: readonly Route[];
  readonly overlay: OverlayTables;
  readonly own: OwnPolicy;
  readonly netdev: NftState;
  readonly ip: NftState;
}
