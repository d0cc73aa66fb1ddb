/** A shared volume with eight stacks on five hosts, well and less well. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Peer {
  stack_id: string;
  host_ip: string;
  status: string;
  reason?: string;
  [field: string]: unknown;
}
interface Measured {
  round_trip_ms?: number;
  loss?: number;
  silent?: number;
  received_bytes: number;
}

function peer(stack_id: string, host_ip: string, net: string, changes: Partial<Peer> = {}): Peer {
  return {
    stack_id,
    host_ip,
    vni: 1000,
    vxlan_endpoint: `${host_ip}:4789`,
    subnets: [`${net}.0/24`],
    gateway_ip: `${net}.2`,
    status: 'active',
    instance: Buffer.from(stack_id).toString('hex').padEnd(16, '0').slice(0, 16),
    since: 1_700_000_000_000,
    source: 'multicast',
    ...changes,
  };
}

export class Demo {
  readonly peers: Peer[] = [
    peer('billing', '10.0.1.4', '10.201.12'),
    peer('metrics', '10.0.1.4', '10.117.3'),
    peer('search', '10.0.1.5', '10.88.41'),
    peer('catalogue', '10.0.1.5', '10.164.9'),
    peer('warehouse', '10.0.1.6', '10.99.120'),
    peer('reports', '10.0.1.7', '10.140.77'),
    peer('legacy-shop', '10.0.1.7', '10.201.12', {
      status: 'rejected',
      reason: 'subnet 10.201.12.0/24 overlaps 10.201.12.0/24 of stack billing on 10.0.1.4',
    }),
    peer('mail', '10.0.1.8', '10.72.200', { status: 'stale' }),
  ];
  readonly #measured = new Map<string, Measured>([
    ['billing', { round_trip_ms: 0.11, loss: 0, silent: 0, received_bytes: 4e9 }],
    ['metrics', { round_trip_ms: 0.09, loss: 0, silent: 0, received_bytes: 2e8 }],
    ['search', { round_trip_ms: 0.42, loss: 0, silent: 0, received_bytes: 8e7 }],
    ['catalogue', { round_trip_ms: 0.44, loss: 0, silent: 0, received_bytes: 3e6 }],
    ['warehouse', { round_trip_ms: 18.6, loss: 0.11, silent: 0, received_bytes: 1e6 }],
    ['reports', { loss: 1, silent: 9, received_bytes: 0 }],
    ['mail', { round_trip_ms: 0.6, loss: 0, silent: 0, received_bytes: 5e5 }],
  ]);
  readonly #folder: string;
  #problems: { code: string; message: string }[] = [];
  /** When the measurements are of, milliseconds since 1970. */
  #at = Date.now() - 60_000;

  constructor(folder: string) {
    this.#folder = folder;
  }

  write(): void {
    const time = new Date().toISOString();
    const own = { ...peer('shop', '10.0.1.4', '10.89.200'), last_seen: time };
    const files = {
      'discovery.json': {
        version: 1,
        last_update: time,
        self: own,
        sources: { multicast: { state: 'ok', since: time } },
        peers: this.peers.map((entry) => ({ ...entry, last_seen: time })),
      },
      'router.json': { version: 1, last_update: time, underlay: 'host', mtu: 1450, problems: this.#problems },
      'status.json': {
        version: 1,
        last_update: new Date(this.#at).toISOString(),
        peers: [...this.#measured].map(([stack_id, measured]) => ({ stack_id, probes: 60, ...measured })),
      },
    };
    // Whole or not at all, as the daemons write them.
    for (const [name, content] of Object.entries(files)) {
      const path = join(this.#folder, name);
      writeFileSync(`${path}.new`, JSON.stringify(content));
      renameSync(`${path}.new`, path);
    }
  }

  /** `seconds` later: these stacks have sent so many bytes more. */
  pass(seconds: number, bytes: Readonly<Record<string, number>>): void {
    this.#at += seconds * 1000;
    for (const [name, count] of Object.entries(bytes)) this.#measured.get(name)!.received_bytes += count;
    this.write();
  }

  measure(name: string, measured: Omit<Measured, 'received_bytes'>): void {
    this.#at += 1000;
    this.#measured.set(name, { received_bytes: 0, ...measured });
    this.write();
  }

  add(changes: Partial<Peer> & Pick<Peer, 'stack_id' | 'host_ip'>, now = true): void {
    this.peers.push(peer(changes.stack_id, changes.host_ip, '10.70.1', changes));
    if (now) this.write();
  }

  remove(name: string, now = true): void {
    const index = this.peers.findIndex(({ stack_id }) => stack_id === name);
    if (index >= 0) this.peers.splice(index, 1);
    this.#measured.delete(name);
    if (now) this.write();
  }

  problem(code?: string, message = ''): void {
    this.#problems = code ? [{ code, message }] : [];
    this.write();
  }
}
