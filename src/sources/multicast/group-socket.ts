/** A UDP socket in a multicast group, on the one interface that owns the host address. */
import { createSocket, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import type { MulticastConfig } from '../../config/discovery-config.ts';

export interface GroupListener {
  datagram(bytes: Buffer, from: string): void;
  /** The socket died; it is closed by then. */
  failed(message: string): void;
}

/** Name of the interface that owns `hostIp`; undefined when none does. */
export function interfaceOf(hostIp: string): string | undefined {
  const owner = Object.entries(networkInterfaces()).find(([, addresses]) =>
    addresses?.some(({ address }) => address === hostIp),
  );
  return owner?.[0];
}

export class GroupSocket {
  readonly interfaceName: string;
  readonly #socket: Socket;
  readonly #config: MulticastConfig;

  private constructor(socket: Socket, config: MulticastConfig, interfaceName: string) {
    this.#socket = socket;
    this.#config = config;
    this.interfaceName = interfaceName;
  }

  /** @throws when no interface owns `hostIp`, the port is taken by a socket without SO_REUSEADDR, or the group cannot be joined. */
  static async open(config: MulticastConfig, hostIp: string, listener: GroupListener): Promise<GroupSocket> {
    const interfaceName = interfaceOf(hostIp);
    if (!interfaceName)
      throw new Error(`no interface of this host owns ${hostIp}; set HOST_IP to one of its addresses`);
    // SO_REUSEADDR lets every stack of this host have the port, and each gets every multicast datagram.
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    await bound(socket, config);
    try {
      socket.addMembership(config.group, hostIp);
      socket.setMulticastInterface(hostIp);
      socket.setMulticastLoopback(true);
      socket.setMulticastTTL(config.ttl);
    } catch (cause) {
      socket.close();
      throw new Error(`cannot join ${config.group} on ${interfaceName}: ${(cause as Error).message}`);
    }
    socket.on('message', (bytes, { address, port }) => listener.datagram(bytes, `${address}:${port}`));
    socket.on('error', (cause) => listener.failed(`socket on ${interfaceName}: ${cause.message}`));
    return new GroupSocket(socket, config, interfaceName);
  }

  async send(bytes: Buffer): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#socket.send(bytes, this.#config.port, this.#config.group, (cause) => (cause ? reject(cause) : resolve()));
    });
  }

  close(): void {
    this.#socket.removeAllListeners();
    this.#socket.on('error', () => undefined);
    try {
      this.#socket.close();
    } catch {
      // Already closed by the error that was reported.
    }
  }
}

/** Bound to the group's address: what is sent to this host's own address, by a container of it for one, does not get here. */
async function bound(socket: Socket, { port, group }: MulticastConfig): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      const taken = `UDP port ${port} is taken by another program; stop it or set DISCOVERY_PORT on every stack`;
      reject(new Error(cause.code === 'EADDRINUSE' ? taken : `cannot open UDP port ${port}: ${cause.message}`));
    });
    socket.bind(port, group, () => {
      socket.removeAllListeners('error');
      resolve();
    });
  });
}
