/** Three hosts with a stack each, and a host with a BIND: real daemons and routers in network namespaces, discovery by DNS alone. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { processName, startDaemon, stopDaemon } from '../../src/embedded/daemons.ts';
import { down, endpoints, startDaemons } from '../../src/embedded/embedded.ts';
import { claim, processFolder } from '../../src/embedded/folders.ts';
import { createNamespaces, inside } from '../../src/embedded/namespaces.ts';
import { PROBE_PORT, startServers } from '../../src/embedded/paths.ts';
import { recorded, signalProcess } from '../../src/embedded/processes.ts';
import {
  hostAddress,
  hostNamespace,
  routerNamespace,
  type Stack,
  serviceNamespace,
  stackAddresses,
  type Topology,
} from '../../src/embedded/topology.ts';
import { Bind, DOMAIN, testKey } from './bind.ts';

const KEY = testKey();
const HOSTS = ['host-1', 'host-2', 'host-3'];
const NAME_SERVER = 'names';

export class World {
  readonly topology: Topology;
  bind!: Bind;

  constructor(prefix: string, environment: Record<string, string>) {
    const stacks = HOSTS.map((host, i) => ({ name: `stack-${i + 1}`, host, subnet: `172.30.${i + 1}.0/24` }));
    const bare: Topology = { prefix, hosts: [...HOSTS, NAME_SERVER], stacks };
    this.topology = {
      ...bare,
      environment: {
        DISCOVERY_MODE: 'dns',
        DNS_DOMAIN: DOMAIN,
        DNS_UPDATE_SERVER: hostAddress(bare, NAME_SERVER),
        DNS_TSIG_NAME: KEY.name,
        DNS_TSIG_SECRET: KEY.secret.toString('base64'),
        ...environment,
      },
    };
  }

  get stacks(): readonly Stack[] {
    return this.topology.stacks;
  }

  /** As `up` of src/embedded, with the name server before the daemons. */
  async up(): Promise<void> {
    const { topology } = this;
    const { prefix } = topology;
    claim(prefix);
    await down(prefix);
    claim(prefix);
    await createNamespaces(topology);
    const namespace = hostNamespace(topology, NAME_SERVER);
    this.bind = await Bind.start({ keys: [KEY], namespace, address: hostAddress(topology, NAME_SERVER), port: 53 });
    await startServers(prefix, endpoints(topology));
    await startDaemons(topology);
  }

  async down(): Promise<void> {
    await this.bind?.close();
    await down(this.topology.prefix);
  }

  #daemon(stack: Stack) {
    return recorded(processFolder(this.topology.prefix), processName(stack, 'discovery'))!;
  }

  /** Ends a stack's discovery without a goodbye. */
  kill(stack: Stack): void {
    signalProcess(this.#daemon(stack), 'SIGKILL');
  }

  async start(stack: Stack): Promise<void> {
    await startDaemon(this.topology, stack, 'discovery');
  }

  async stop(stack: Stack): Promise<void> {
    await stopDaemon(this.topology, stack, 'discovery');
  }

  /** Milliseconds since a stack's discovery was started. */
  age(stack: Stack): number {
    const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    // In hundredths of a second (USER_HZ, proc(5)).
    return Math.round(1000 * (uptime - Number(this.#daemon(stack).startTime) / 100));
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
    return spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' }).stdout.includes(`This is ${to.name};`);
  }

  pairs(): [Stack, Stack][] {
    return this.stacks.flatMap((a) => this.stacks.filter((b) => b !== a).map((b): [Stack, Stack] => [a, b]));
  }
}
