/** What is measured: two hosts, stacks of ours on them, and Docker Swarm's overlay between the same engines. */
import { inHost, ok } from './lab.ts';

export interface Endpoint {
  readonly host: number;
  readonly address: string;
  /** Prefix of an argument vector that runs the host's programs in the endpoint's network namespace. */
  readonly enter: readonly string[];
}

const BASE = 'docker-router-base:latest';
const HERE = '/repo/bench/data';
export const raw = (host: number): Endpoint => ({ host, address: `10.77.0.${host}`, enter: [] });

/** The programs come from the host's Debian, so that every path is measured by the same ones. */
async function endpoint(host: number, container: string): Promise<Endpoint> {
  const format = '{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
  const [pid, address] = (await ok(host, 'docker', 'inspect', '-f', format, container)).split(' ');
  return { host, address: address!, enter: ['nsenter', `--net=/proc/${pid}/ns/net`] };
}

export interface StackOptions {
  readonly name: string;
  readonly host: number;
  /** First three numbers of its subnet. */
  readonly subnet: string;
  readonly published?: boolean;
  readonly encrypted?: boolean;
}

export function composeLine(
  { name, subnet, published, encrypted }: StackOptions,
  ...words: string[]
): string[] {
  const more = published ? 'published.yml' : encrypted ? 'encrypted.yml' : undefined;
  const files = ['-f', `${HERE}/stack.yml`, ...(more ? ['-f', `${HERE}/${more}`] : [])];
  // Stacks of the different underlays are not to find each other.
  const vni = published ? 2000 : encrypted ? 3000 : 1000;
  const env = [`SUBNET=${subnet}`, `COMPOSE_PROJECT_NAME=${name}`, `VNI=${vni}`];
  return ['env', ...env, 'docker', 'compose', '--progress', 'quiet', ...files, ...words];
}

export async function stackUp(options: StackOptions): Promise<Endpoint> {
  await ok(options.host, ...composeLine(options, 'up', '-d', '--wait'));
  return endpoint(options.host, `${options.name}-service-1`);
}

/** Empty when the engines cannot form a swarm; `why` then says so. */
export async function swarmUp(): Promise<{ endpoints: readonly Endpoint[]; why?: string }> {
  try {
    await ok(1, 'docker', 'swarm', 'init', '--advertise-addr', '10.77.0.1');
    const token = await ok(1, 'docker', 'swarm', 'join-token', '-q', 'worker');
    await ok(2, 'docker', 'swarm', 'join', '--token', token, '10.77.0.1:2377');
    await ok(1, 'docker', 'network', 'create', '-d', 'overlay', '--attachable', '--subnet', '172.20.0.0/24', 'swarm');
    const endpoints: Endpoint[] = [];
    for (const [name, host] of [
      ['swarm-a', 1],
      ['swarm-b', 2],
      ['swarm-c', 1],
    ] as const) {
      await ok(host, 'docker', 'run', '-d', '--init', '--name', name, '--network', 'swarm', BASE, 'sleep', 'infinity');
      endpoints.push(await endpoint(host, name));
    }
    return { endpoints };
  } catch (cause) {
    return { endpoints: [], why: (cause as Error).message };
  }
}

/** Whether the hosts' bridges hand frames to iptables. Swarm switches it on. */
export async function bridgeFilter(on: boolean): Promise<void> {
  for (const host of [1, 2]) await ok(host, 'sysctl', '-qw', `net.bridge.bridge-nf-call-iptables=${on ? 1 : 0}`);
}

const IPERF = 'iperf3';
export const REPLY_PORT = 7007;

/** Servers for every measurement, in the endpoint's namespace, until the lab ends. */
export async function serve(at: Endpoint): Promise<void> {
  await ok(at.host, ...at.enter, IPERF, '-s', '-D');
  const reply = [...at.enter, 'python3', `${HERE}/request-response.py`, 'serve', String(REPLY_PORT)];
  await ok(at.host, 'sh', '-c', 'exec setsid "$@" >/dev/null 2>&1 &', 'sh', ...reply);
}

/** @throws Error when there is no answer within 20 s. */
export async function reachable(from: Endpoint, to: Endpoint): Promise<void> {
  const ask = [...from.enter, 'python3', `${HERE}/request-response.py`, 'ask', to.address, String(REPLY_PORT), '0.05'];
  for (let attempt = 0; ; attempt += 1) {
    const { code, stderr } = await inHost(from.host, ...ask);
    if (code === 0) return;
    if (attempt === 20) throw new Error(`${to.address} does not answer: ${stderr.trim().split('\n').at(-1)}`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
