/** Three hosts with a stack each: real daemons and routers in network namespaces, the hosts on one wire, discovery by gossip alone. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processName, startDaemon, stopDaemon } from '../../src/embedded/daemons.ts';
import { down, up } from '../../src/embedded/embedded.ts';
import { healthFileOf, processFolder, volumeOf } from '../../src/embedded/folders.ts';
import { configure, inside } from '../../src/embedded/namespaces.ts';
import { PROBE_PORT } from '../../src/embedded/paths.ts';
import { recorded, signalProcess } from '../../src/embedded/processes.ts';
import {
  hostAddress,
  routerNamespace,
  type Stack,
  serviceNamespace,
  stackAddresses,
  switchNamespace,
  type Topology,
} from '../../src/embedded/topology.ts';
import { gossipKey } from './serf.ts';

const POLL_MS = 50;

export class World {
  readonly topology: Topology;

  constructor(prefix: string, environment: Record<string, string> = {}) {
    const hosts = ['host-1', 'host-2', 'host-3'];
    const stacks = hosts.map((host, i) => ({ name: `stack-${i + 1}`, host, subnet: `172.30.${i + 1}.0/24` }));
    const bare: Topology = { prefix, hosts, stacks };
    // Two seeds of the three: the third is found through them.
    const seeds = hosts.slice(0, 2).map((host) => hostAddress(bare, host));
    this.topology = {
      ...bare,
      environment: {
        DISCOVERY_MODE: 'gossip',
        GOSSIP_SEEDS: seeds.join(','),
        GOSSIP_ENCRYPT_KEY: gossipKey(),
        ...environment,
      },
    };
  }

  get stacks(): readonly Stack[] {
    return this.topology.stacks;
  }

  async up(): Promise<void> {
    await up(this.topology);
  }

  async down(): Promise<void> {
    await down(this.topology.prefix);
  }

  /** Ends a stack's discovery without a goodbye. */
  async kill(stack: Stack): Promise<void> {
    const folder = processFolder(this.topology.prefix);
    const daemon = recorded(folder, processName(stack, 'discovery'))!;
    signalProcess(daemon, 'SIGKILL');
    await sleep(POLL_MS);
  }

  /** Milliseconds since a stack's discovery was started. */
  age(stack: Stack): number {
    const { startTime } = recorded(processFolder(this.topology.prefix), processName(stack, 'discovery'))!;
    const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    // Linux counts in hundredths of a second here on every architecture (USER_HZ).
    return Math.round(1000 * (uptime - Number(startTime) / 100));
  }

  async start(stack: Stack): Promise<void> {
    await startDaemon(this.topology, stack, 'discovery');
  }

  /** Ends a stack's discovery with a goodbye. */
  async stop(stack: Stack): Promise<void> {
    await stopDaemon(this.topology, stack, 'discovery');
  }

  /** Makes a stack whose discovery is not running forget where the others were. */
  forget(stack: Stack): void {
    rmSync(join(volumeOf(this.topology.prefix, stack.name), 'gossip.json'), { force: true });
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

  /** Whether a service of `from` gets an answer over TCP from the one of `to`. */
  reaches(from: Stack, to: Stack): boolean {
    const { service } = stackAddresses(to);
    const script = `exec 3<>/dev/tcp/${service}/${PROBE_PORT} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3`;
    const argv = inside(serviceNamespace(this.topology, from), ['timeout', '1', 'bash', '-c', script]);
    const { stdout } = spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' });
    return stdout.includes(`This is ${to.name};`);
  }

  pairs(stacks = this.stacks): [Stack, Stack][] {
    return stacks.flatMap((a) => stacks.filter((b) => b !== a).map((b): [Stack, Stack] => [a, b]));
  }
}

/** Milliseconds until `holds`. @throws when that takes longer than `withinMs`. */
export async function until(holds: () => boolean, withinMs: number, what: string): Promise<number> {
  const begin = performance.now();
  while (!holds()) {
    if (performance.now() - begin > withinMs) throw new Error(`${what}: not within ${withinMs} ms`);
    await sleep(POLL_MS);
  }
  return Math.round(performance.now() - begin);
}
