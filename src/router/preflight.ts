/** What the container must have been given, checked before anything is touched, each with the line that mends it. */
import { access, constants, readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { parseWith } from '../record/record.ts';
import type { Problem } from '../state/router-file.ts';

/** Bit of CAP_NET_ADMIN, capability.h. */
const CAP_NET_ADMIN = 12n;

const ForwardSchema = v.pipe(
  v.string(),
  v.transform((text) => text.trim()),
  v.picklist(['0', '1']),
);

/** Whether /proc/self/status shows CAP_NET_ADMIN in the effective set. */
export function hasNetAdmin(status: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

/** Problems that no retry can heal: the container has to be created anew. */
export async function fatalProblems(stateDir: string): Promise<string[]> {
  const problems: string[] = [];
  if (!hasNetAdmin(await readFile('/proc/self/status', 'utf8'))) {
    problems.push('the capability NET_ADMIN is missing; add to the router service: cap_add: [NET_ADMIN]');
  }
  const writable = await access(stateDir, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!writable) {
    problems.push(
      `${stateDir} cannot be written; add to the router service: volumes: ["docker-router:${stateDir}"] (the volume discovery has, not read-only)`,
    );
  }
  return problems;
}

/** Without forwarding the services reach the other stacks but not the outside world. */
export async function forwardingProblem(): Promise<Problem | undefined> {
  const read = await readFile('/proc/sys/net/ipv4/ip_forward', 'utf8').catch(() => '');
  const value = parseWith(ForwardSchema, read);
  if (value.ok && value.value === '1') return undefined;
  return {
    code: 'no-forwarding',
    message: 'IPv4 forwarding is off in the router; add to the router service: sysctls: [net.ipv4.ip_forward=1]',
  };
}

/** Whether the host may filter bridged traffic: br_netfilter is loaded there. Its per-host switch cannot be seen from a container. */
export async function bridgeFilterLoaded(): Promise<boolean> {
  return access('/proc/sys/net/bridge').then(
    () => true,
    () => false,
  );
}

/** Why nothing can be encrypted here, with the line that mends it. */
export function noEngine(mode: string): string {
  return (
    `ENCRYPTION=${mode}, but the kernel has no WireGuard and the container no /dev/net/tun, which wireguard-go needs instead; ` +
    'on the host run: modprobe wireguard; or add to the router service: devices: [/dev/net/tun] and ports: ["51820-51821:51820-51821/udp"]'
  );
}
