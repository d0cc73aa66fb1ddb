/** A Compose project as far as init needs it: which service is on which network, and what the networks are like. Pure. */

export interface Attachment {
  /** Docker Engine 28: decides which network gives the default route. */
  readonly gwPriority: number;
  readonly ipv4?: string;
}

export interface Service {
  readonly networks: ReadonlyMap<string, Attachment>;
  readonly networkMode?: string;
  readonly dns: readonly string[];
}

export interface IpamEntry {
  readonly subnet?: string;
  readonly gateway?: string;
  readonly ipRange?: string;
  readonly aux: Readonly<Record<string, string>>;
}

export interface Network {
  readonly name?: string;
  readonly external?: boolean;
  readonly internal?: boolean;
  readonly driver?: string;
  readonly mtu?: string;
  readonly ipv4?: boolean;
  readonly ipam: readonly IpamEntry[];
}

/** What one file says, or several together. */
export interface Part {
  readonly name?: string;
  readonly services: ReadonlyMap<string, Service>;
  readonly networks: ReadonlyMap<string, Network>;
  readonly volumes: ReadonlySet<string>;
}

export const EMPTY: Part = { services: new Map(), networks: new Map(), volumes: new Set() };

export interface Project extends Part {
  readonly name: string;
}

/** `over` wins over `base`, keys that it does not have stay. */
function merged<T extends object>(base: T, over: T): T {
  const present = Object.entries(over).filter(([, value]) => value !== undefined);
  return { ...base, ...(Object.fromEntries(present) as T) };
}

export function mergeServices(base: Service, over: Service): Service {
  return {
    ...merged(base, over),
    networks: new Map([...base.networks, ...over.networks]),
    dns: [...base.dns, ...over.dns],
  };
}

/** Compose merges entries of one subnet and adds the others. */
function mergeIpam(base: readonly IpamEntry[], over: readonly IpamEntry[]): IpamEntry[] {
  const added = over.filter((entry) => !base.some(({ subnet }) => subnet === entry.subnet));
  const changed = base.map((entry) => {
    const other = over.find(({ subnet }) => subnet === entry.subnet);
    return other ? { ...merged(entry, other), aux: { ...entry.aux, ...other.aux } } : entry;
  });
  return [...changed, ...added];
}

function mergeNetworks(base: Network, over: Network): Network {
  return { ...merged(base, over), ipam: mergeIpam(base.ipam, over.ipam) };
}

function mergeMaps<T>(base: ReadonlyMap<string, T>, over: ReadonlyMap<string, T>, merge: (a: T, b: T) => T) {
  const result = new Map(base);
  for (const [key, value] of over) {
    const old = result.get(key);
    result.set(key, old === undefined ? value : merge(old, value));
  }
  return result;
}

/** Two files as Compose merges them, the second over the first. */
export function mergeParts(base: Part, over: Part): Part {
  return {
    name: over.name ?? base.name,
    services: mergeMaps(base.services, over.services, mergeServices),
    networks: mergeMaps(base.networks, over.networks, mergeNetworks),
    volumes: new Set([...base.volumes, ...over.volumes]),
  };
}

/** What a service is connected to: a service that names nothing is on `default`. Empty where it has another's network, or none. */
export function attachments(service: Service): ReadonlyMap<string, Attachment> {
  if (service.networkMode !== undefined) return new Map();
  return service.networks.size > 0 ? service.networks : new Map([['default', { gwPriority: 0 }]]);
}

/** Name of the network in the engine. */
export function fullName(project: Project, key: string): string {
  const network = project.networks.get(key);
  return network?.name ?? (network?.external ? key : `${project.name}_${key}`);
}
