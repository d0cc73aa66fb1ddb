/** Two hosts on a cable: the receiver's namespace, and this one, in which the test plays the attacker. What is sent here no daemon of this side hears. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DiscoveryProcesses, until } from './discovery-process.ts';

const GROUP = '239.1.1.1';
const PORT = 4790;
const HERE = '10.88.0.2';
export const RECEIVER = '10.88.0.1';
/** Sent before the receiver's queue is looked at again; a queue takes some 160 datagrams (net.core.rmem_default). */
const BATCH = 64;
const MOST_QUEUED_BYTES = 65_536;
const CLOCK = new URL('moved-clock.mjs', import.meta.url).href;

export interface Heard {
  readonly bytes: Buffer;
  readonly from: string;
}

export class Wire {
  readonly processes = new DiscoveryProcesses();
  readonly #there: ChildProcess;
  readonly #clockFile = join(this.processes.folder('clock'), 'ahead');
  readonly #socket: Socket;

  private constructor(there: ChildProcess, socket: Socket) {
    this.#there = there;
    this.#socket = socket;
    writeFileSync(this.#clockFile, '0');
  }

  /** Needs root and a network namespace of the test's own. */
  static async make(): Promise<Wire> {
    // Ends with this process, and with it the receiver's namespace.
    const there = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
    const own = readlinkSync('/proc/self/ns/net');
    await until('the namespace is there', 10, () => readlinkSync(`/proc/${there.pid}/ns/net`) !== own);
    const lines = (address: string) => [
      'link set lo up',
      'link set eth0 up',
      `address add ${address}/24 dev eth0`,
      'route add default via 10.88.0.254',
    ];
    const ip = (line: string) => execFileSync('ip', line.split(' '));
    ip(`link add eth0 type veth peer name eth0 netns ${there.pid}`);
    for (const line of lines(HERE)) ip(line);
    for (const line of lines(RECEIVER))
      execFileSync('nsenter', ['-t', String(there.pid), '-n', 'ip', ...line.split(' ')]);
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    await new Promise<void>((resolve) => socket.bind(PORT, GROUP, resolve));
    socket.addMembership(GROUP, HERE);
    socket.setMulticastInterface(HERE);
    socket.setMulticastLoopback(false);
    return new Wire(there, socket);
  }

  end(): void {
    this.processes.end();
    this.#socket.close();
    this.#there.kill('SIGKILL');
  }

  /** Starts a discovery on this side, or on the receiver's. Its clock is `moveClocks`'s. */
  start(id: string, side: 'here' | 'there', variables: Readonly<Record<string, string>>): ChildProcess {
    const through = side === 'here' ? [] : ['nsenter', '-t', String(this.#there.pid), '-n'];
    const env = { ...variables, IDENTITY_DIR: this.processes.folder(`${id}-identity`), MOVED_CLOCK: this.#clockFile };
    return this.processes.start(id, env, { through, options: ['--import', CLOCK] });
  }

  /** What a command prints on the receiver's side. */
  there(...argv: string[]): string {
    return execFileSync('nsenter', ['-t', String(this.#there.pid), '-n', ...argv], { encoding: 'utf8' });
  }

  /** How many datagrams the receiver has dropped, by kind, as its metrics say (METRICS_PORT=9471). */
  dropped(): Map<string, number> {
    const script = "fetch('http://127.0.0.1:9471/metrics').then((r) => r.text()).then(console.log)";
    const text = this.there(process.execPath, '-e', script);
    const rows = text.matchAll(
      /^docker_router_discovery_dropped_total\{source="multicast",kind="(.*) datagram",[^}]*\} (\d+)$/gm,
    );
    return new Map([...rows].map(([, kind, count]) => [kind!, Number(count)]));
  }

  moveClocks(aheadMs: number, daemons: readonly ChildProcess[]): void {
    writeFileSync(this.#clockFile, String(aheadMs));
    for (const daemon of daemons) daemon.kill('SIGUSR2');
  }

  async listen(seconds: number): Promise<Heard[]> {
    const heard: Heard[] = [];
    const note = (bytes: Buffer, { address }: { address: string }) => heard.push({ bytes, from: address });
    this.#socket.on('message', note);
    await sleep(seconds * 1000);
    this.#socket.off('message', note);
    return heard;
  }

  /**
   * Sends `count` datagrams to the group, no faster than the receiver reads them, and returns when it has read the last.
   * @throws Error when the kernel dropped one, so that none is counted that was never looked at.
   */
  async send(receiver: ChildProcess, count: number, make: (index: number) => Buffer): Promise<void> {
    const before = queueOf(receiver).dropped;
    for (let index = 0; index < count; ) {
      const end = Math.min(count, index + BATCH);
      const sent: Promise<void>[] = [];
      for (; index < end; index += 1) sent.push(this.#send(make(index)));
      await Promise.all(sent);
      while (queueOf(receiver).bytes > (index < count ? MOST_QUEUED_BYTES : 0)) await sleep(1);
    }
    const lost = queueOf(receiver).dropped - before;
    if (lost > 0) throw new Error(`${lost} of ${count} datagrams did not reach the receiver`);
  }

  #send(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(bytes, PORT, GROUP, (cause) => (cause ? reject(cause) : resolve()));
    });
  }
}

/** What waits in the sockets of the discovery port, in bytes, and how many datagrams the kernel has dropped there (/proc/net/udp, proc_net(5)). */
function queueOf({ pid }: ChildProcess): { bytes: number; dropped: number } {
  const port = `:${PORT.toString(16).toUpperCase()}`;
  const rows = readFileSync(`/proc/${pid}/net/udp`, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(port));
  if (rows.length === 0) throw new Error('nobody listens on the discovery port');
  return {
    bytes: rows.reduce((sum, columns) => sum + Number.parseInt(columns[4]!.split(':')[1]!, 16), 0),
    dropped: rows.reduce((sum, columns) => sum + Number(columns.at(-1)), 0),
  };
}
