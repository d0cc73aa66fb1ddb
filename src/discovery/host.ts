/** What discovery sees of its host: the address others reach it by, the interface that owns it, the networks it is on. */
import { createSocket } from 'node:dgram';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { type Prefix, parseIpv4, prefixOf } from '../net/ipv4.ts';
import { linkRoutes } from './link-routes.ts';

export interface HostNetwork {
  readonly name: string;
  /** Empty for a bridge that is down: the system names no address of it. */
  readonly address: string;
  /** A bridge that stacks can be on. */
  readonly isStack: boolean;
  readonly prefix: Prefix;
}

/** TEST-NET-1 (RFC 5737): never a real host, so the default route decides. Nothing is sent. */
const SOMEWHERE = '192.0.2.1';

/** Source address of the default route; undefined when there is no such route. */
export async function defaultSourceAddress(): Promise<string | undefined> {
  const socket = createSocket('udp4');
  try {
    return await new Promise<string>((resolve, reject) => {
      socket.once('error', reject);
      // connect() of a UDP socket makes the kernel choose a route and a source address and sends no packet.
      socket.connect(9, SOMEWHERE, () => resolve(socket.address().address));
    });
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

const isBridge = (name: string) => existsSync(`/sys/class/net/${name}/bridge`);

/**
 * Whether an interface can be the network of a stack: a bridge, but not the engine's own, which no compose file gives to a stack.
 * Where sysfs does not show the interface it may be one.
 */
function isStackBridge(name: string): boolean {
  return name !== 'docker0' && (isBridge(name) || !existsSync(`/sys/class/net/${name}`));
}

/** Networks of bridges that are down, such as Docker's while nothing runs on them: their routes stay, their addresses are not listed. */
function downBridges(up: readonly HostNetwork[]): HostNetwork[] {
  return linkRoutes(textOf('/proc/net/route')).flatMap(({ name, prefix }) =>
    up.some((network) => network.name === name) || !isBridge(name)
      ? []
      : [{ name, prefix, address: '', isStack: isStackBridge(name) }],
  );
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** IPv4 networks of every interface but loopback, in the order of the system, and those of bridges that are down. */
export function hostNetworks(): HostNetwork[] {
  const up = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).flatMap((entry) => {
      const address = entry.family === 'IPv4' && !entry.internal ? parseIpv4(entry.address) : undefined;
      const length = Number(entry.cidr?.split('/')[1]);
      return address === undefined
        ? []
        : [{ name, address: entry.address, prefix: prefixOf(address, length), isStack: isStackBridge(name) }];
    }),
  );
  return [...up, ...downBridges(up)];
}

/** MTU of an interface in bytes, from sysfs; undefined where sysfs does not show it. */
export async function interfaceMtu(name: string): Promise<number | undefined> {
  try {
    return Number(await readFile(`/sys/class/net/${name}/mtu`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Whether the host's bridges hand frames to iptables (net.bridge.bridge-nf-call-iptables); only the host's own namespace shows it. */
export async function bridgesFilter(): Promise<boolean> {
  const value = await readFile('/proc/sys/net/bridge/bridge-nf-call-iptables', 'utf8').catch(() => '0');
  return value.trim() === '1';
}

/** Address, networks and MTU of the host, looked up again from time to time since all of them may change. */
export class HostView {
  readonly #configured: string | 'auto';
  address: string | undefined;
  networks: HostNetwork[] = [];
  mtu: number | undefined;
  bridgesFilter = false;

  constructor(configured: string | 'auto') {
    this.#configured = configured;
  }

  /** Interface that owns the address; undefined when the host is reached by an address of something before it (NAT). */
  get interfaceName(): string | undefined {
    return this.networks.find(({ address }) => address === this.address)?.name;
  }

  /** Differs when something that discovery.json depends on does. */
  get signature(): string {
    return JSON.stringify([this.networks, this.mtu, this.bridgesFilter]);
  }

  /** Looks again. Returns a line for the log when the address changed. */
  async refresh(): Promise<string | undefined> {
    const auto = this.#configured === 'auto';
    const address = auto ? await defaultSourceAddress() : this.#configured;
    this.networks = hostNetworks();
    const changed = address !== undefined && address !== this.address;
    // Without a default route the last address stays: the link may be down for a moment.
    if (address !== undefined) this.address = address;
    this.mtu = this.interfaceName === undefined ? undefined : await interfaceMtu(this.interfaceName);
    this.bridgesFilter = await bridgesFilter();
    if (!changed) return undefined;
    const how = auto ? 'source address of the default route' : 'from HOST_IP';
    return `host address ${address} (${how}), interface ${this.interfaceName ?? 'none of this host'}`;
  }
}
