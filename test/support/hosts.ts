/** Three hosts with a stack each: real daemons and routers in network namespaces, the hosts on one wire that carries no multicast. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processName, startDaemon, stopStack } from '../../src/embedded/daemons.ts';
import { down, endpoints, startDaemons } from '../../src/embedded/embedded.ts';
import { claim, healthFileOf, processFolder, volumeOf } from '../../src/embedded/folders.ts';
import { configure, createNamespaces, inside } from '../../src/embedded/namespaces.ts';
import { PROBE_PORT, startServers } from '../../src/embedded/paths.ts';
import { isRunning, killProcess, recorded, type Tracked } from '../../src/embedded/processes.ts';
import {
  type Environment,
  hostAddress,
  hostNamespace,
  ROLES,
  type Role,
  routerNamespace,
  type Stack,
  serviceNamespace,
  stackAddresses,
  switchNamespace,
  type Topology,
} from '../../src/embedded/topology.ts';
import { runOk } from '../../src/process/run.ts';
import { whenInterrupted } from './interrupted.ts';

const HOSTS = ['host-1', 'host-2', 'host-3'];
const POLL_MS = 50;
/** In front of the process's number in the names of all that is made: two runs at once do not meet. */
const PREFIX = 'hosts';
const NO_MULTICAST =
  'table inet test { chain out { type filter hook output priority 0; ip daddr 224.0.0.0/4 drop; }; }';

export interface HostsOptions {
  /** A further host, for a server. */
  readonly server?: string;
  /** Variables of every discovery, given the address of each host. */
  readonly environment: (addresses: Readonly<Record<string, string>>) => Environment;
  /** Multicast passes. */
  readonly multicast?: boolean;
}

export class Hosts {
  readonly topology: Topology;
  readonly #multicast: boolean;

  constructor({ server, environment, multicast = false }: HostsOptions) {
    const stacks = HOSTS.map((host, i) => ({ name: `stack-${i + 1}`, host, subnet: `172.30.${i + 1}.0/24` }));
    const hosts = server === undefined ? HOSTS : [...HOSTS, server];
    const bare: Topology = { prefix: `${PREFIX}${process.pid % 1_000_000}`, hosts, stacks };
    const addresses = Object.fromEntries(hosts.map((host) => [host, hostAddress(bare, host)]));
    this.topology = { ...bare, environment: environment(addresses) };
    this.#multicast = multicast;
  }

  get stacks(): readonly [Stack, Stack, Stack] {
    return this.topology.stacks as unknown as [Stack, Stack, Stack];
  }

  /** Makes the hosts and starts every daemon. `prepare` runs before the daemons do. */
  async up(prepare: () => Promise<unknown> = async () => undefined): Promise<void> {
    const { topology } = this;
    claim(topology.prefix);
    whenInterrupted(() => this.down());
    await createNamespaces(topology);
    if (!this.#multicast) for (const host of topology.hosts) await this.run(host, ['nft', '-f', '-'], NO_MULTICAST);
    await prepare();
    await startServers(topology.prefix, endpoints(topology));
    await startDaemons(topology);
  }

  async down(): Promise<void> {
    await down(this.topology.prefix);
  }

  namespaceOf(host: string): string {
    return hostNamespace(this.topology, host);
  }

  addressOf(host: string): string {
    return hostAddress(this.topology, host);
  }

  /** Runs a command on a host. @throws CommandError */
  async run(host: string, argv: readonly string[], input = ''): Promise<string> {
    return runOk(inside(this.namespaceOf(host), argv), input);
  }

  #daemon(stack: Stack, role: Role): Tracked | undefined {
    return recorded(processFolder(this.topology.prefix), processName(stack, role));
  }

  /** Ends a stack's discovery without a goodbye. Gone when it resolves: `start` starts only what does not run. */
  async kill(stack: Stack): Promise<void> {
    await killProcess(this.#daemon(stack, 'discovery')!);
  }

  /** Milliseconds since a stack's discovery was started. */
  age(stack: Stack): number {
    const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    // Linux counts in hundredths of a second here on every architecture (USER_HZ, proc(5)).
    return Math.round(1000 * (uptime - Number(this.#daemon(stack, 'discovery')!.startTime) / 100));
  }

  /** Starts those daemons of a stack that do not run. */
  async start(stack: Stack): Promise<void> {
    for (const role of ROLES) {
      const daemon = this.#daemon(stack, role);
      if (!daemon || !isRunning(daemon)) await startDaemon(this.topology, stack, role);
    }
  }

  /** Ends a stack with a goodbye. */
  async stop(stack: Stack): Promise<void> {
    await stopStack(this.topology, stack);
  }

  /** Removes a file from the volume of a stack. */
  remove(stack: Stack, file: string): void {
    rmSync(join(volumeOf(this.topology.prefix, stack.name), file), { force: true });
  }

  /** The line of a stack's health file. */
  health(stack: Stack): string {
    return readFileSync(healthFileOf(this.topology.prefix, stack.name, 'discovery'), 'utf8');
  }

  /** Pulls or plugs the cable of a stack's host. */
  async cable(stack: Stack, state: 'up' | 'down'): Promise<void> {
    const port = `port${this.topology.hosts.indexOf(stack.host) + 1}`;
    await configure(switchNamespace(this.topology), [`link set ${port} ${state}`]);
  }

  /** Whether `viewer`'s router has a route to `other`. */
  routes(viewer: Stack, other: Stack): boolean {
    const argv = ['-n', routerNamespace(this.topology, viewer), 'route', 'show', other.subnet];
    return spawnSync('ip', argv, { encoding: 'utf8' }).stdout.includes('vxlan');
  }

  /** Whether nobody else's router has a route to `gone`. */
  unrouted(gone: Stack): boolean {
    return this.stacks.every((stack) => stack === gone || !this.routes(stack, gone));
  }

  /** Whether a service of `from` gets an answer over TCP from the one of `to`. */
  reaches(from: Stack, to: Stack): boolean {
    const { service } = stackAddresses(to);
    const script = `exec 3<>/dev/tcp/${service}/${PROBE_PORT} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3`;
    // --norc, and no socket as its input: bash takes that for a remote login and reads ~/.bashrc, which may take seconds.
    const argv = inside(serviceNamespace(this.topology, from), ['timeout', '1', 'bash', '--norc', '-c', script]);
    const { stdout } = spawnSync(argv[0], argv.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return stdout.includes(`This is ${to.name};`);
  }

  pairs(): [Stack, Stack][] {
    return this.stacks.flatMap((a) => this.stacks.filter((b) => b !== a).map((b): [Stack, Stack] => [a, b]));
  }

  /** Whatever an earlier test left behind: every cable is plugged, every daemon runs, and all are connected. */
  async whole(withinMs = 90_000): Promise<void> {
    for (const stack of this.stacks) {
      await this.cable(stack, 'up');
      await this.start(stack);
    }
    await within(withinMs, 'all pairs are connected before the test', this.connecting());
  }

  /** Whether every pair can talk to each other over TCP, each time it is asked; a pair that could is not tried again. */
  connecting(): () => boolean {
    const waiting = new Set(this.pairs());
    return () => {
      // Both ways before it is tried: without the way back a try waits a second for nothing, and the measurement with it.
      for (const pair of waiting) {
        const [a, b] = pair;
        if (this.routes(a, b) && this.routes(b, a) && this.reaches(a, b)) waiting.delete(pair);
      }
      return waiting.size === 0;
    };
  }
}

/** Milliseconds until `holds`. @throws when that takes longer than `withinMs`. */
export async function within(withinMs: number, what: string, holds: () => boolean): Promise<number> {
  const begin = performance.now();
  while (!holds()) {
    if (performance.now() - begin > withinMs) throw new Error(`${what}: not within ${withinMs} ms`);
    await sleep(POLL_MS);
  }
  return Math.round(performance.now() - begin);
}
