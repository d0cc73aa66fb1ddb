/** Datagrams that the kernel dropped because a socket's queue was full, as /proc/net/udp counts them for each socket. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Columns of proc_net_udp (the kernel's udp4_format_sock): ` 12: 00000000:12B6 00000000:0000 07 ... UID TIMEOUT INODE REF POINTER DROPS`. */
const LOCAL = 1;
const INODE = 9;
const DROPS = 12;

/** Sum over this process's own sockets on `port`. Pure. @param listing text of /proc/net/udp @param inodes of sockets, in decimal */
export function dropsOn(port: number, listing: string, inodes: ReadonlySet<string>): number {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let sum = 0;
  for (const line of listing.split('\n')) {
    // Most hosts have some tens of sockets, and one of them is ours.
    if (!line.includes(end)) continue;
    const columns = line.trim().split(/\s+/);
    if (columns[LOCAL]?.endsWith(end) && inodes.has(columns[INODE] ?? '')) sum += Number(columns[DROPS]) || 0;
  }
  return sum;
}

function inodeOf(fd: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  } catch {
    // The one that listed the folder is closed again.
    return undefined;
  }
}

function ownSockets(): Set<string> {
  try {
    return new Set(readdirSync('/proc/self/fd').flatMap((fd) => inodeOf(fd) ?? []));
  } catch {
    return new Set();
  }
}

export class Losses {
  readonly #port: number;
  readonly #inodes: ReadonlySet<string>;
  #before = 0;

  /** The socket on `port` is open by now. */
  constructor(port: number) {
    this.#port = port;
    this.#inodes = ownSockets();
    this.fresh();
  }

  /** How many since the last call; 0 where /proc cannot be read: then silence counts as ever. */
  fresh(): number {
    try {
      const now = dropsOn(this.#port, readFileSync('/proc/net/udp', 'latin1'), this.#inodes);
      const news = Math.max(0, now - this.#before);
      this.#before = now;
      return news;
    } catch {
      return 0;
    }
  }
}
