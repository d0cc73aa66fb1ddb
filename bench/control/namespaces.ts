/**
 * The benchmark runs in network, mount and PID namespaces of its own (see `isolated.ts`): this one is the host, with discovery; a second one
 * is the router's container. Nothing outlives them.
 */
import { mkdtempSync } from 'node:fs';
import { runOk } from '../../src/process/run.ts';

export const HOST_ADDRESS = '10.77.0.1';
/** Where the simulated stacks send from. */
export const SENDER_NAMESPACE = 'sender';
export const ROUTER_NAMESPACE = 'router';

export const inRouter = (...argv: string[]): [string, ...string[]] => [
  'ip',
  'netns',
  'exec',
  ROUTER_NAMESPACE,
  ...argv,
];
export const inSender = (...argv: string[]): [string, ...string[]] => [
  'ip',
  'netns',
  'exec',
  SENDER_NAMESPACE,
  ...argv,
];

const HOST = `link set lo up
netns add ${ROUTER_NAMESPACE}
netns add ${SENDER_NAMESPACE}
link add eth0 type veth peer name eth0 netns ${SENDER_NAMESPACE}
address add ${HOST_ADDRESS}/24 dev eth0
link set eth0 up
route add default via 10.77.0.254
link add bridge0 type bridge
address add 172.30.0.1/24 dev bridge0
link add port0 type veth peer name eth0 netns ${ROUTER_NAMESPACE}
link set port0 master bridge0 up
link set bridge0 up
`;
const SENDER = `link set lo up
address add 10.77.0.2/24 dev eth0
link set eth0 up
route add default dev eth0
`;
const ROUTER = `link set lo up
address add 172.30.0.3/24 dev eth0
link set eth0 up
route add default via 172.30.0.2 dev eth0
`;

/** In /run, where nobody keeps this repository. */
const FOLDER = '/run/bench';

/** A file system of its own for what a run writes, and for the names that `ip netns` keeps. */
export async function mountTemporary(): Promise<void> {
  await runOk(['mount', '-t', 'tmpfs', 'bench', '/run']);
  await runOk(['mkdir', FOLDER, '/run/netns']);
}

export async function makeHost(): Promise<void> {
  for (const line of HOST.trim().split('\n')) await runOk(['ip', ...line.split(' ')]);
  await runOk(['ip', '-n', SENDER_NAMESPACE, '-batch', '-'], SENDER);
  await runOk(['ip', '-n', ROUTER_NAMESPACE, '-batch', '-'], ROUTER);
  await runOk(inRouter('sysctl', '-qw', 'net.ipv4.ip_forward=1'));
}

/** Gone with this process's own mount namespace. */
export const freshFolder = (): string => mkdtempSync(`${FOLDER}/`);
