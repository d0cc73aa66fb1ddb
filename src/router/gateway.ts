/** Makes the router the gateway of its stack's containers. */
import { createSocket } from 'node:dgram';
import type { Gateway } from '../desired/stack-facts.ts';
import type { Observed } from '../kernel/observed.ts';
import { GATEWAY_LABEL, ROUTE_PROTOCOL } from '../kernel/owned.ts';
import { parseIpv4 } from '../net/ipv4.ts';
import { gatewayMac } from '../net/mac.ts';
import { runOk } from '../process/run.ts';
import type { Problem } from '../state/router-file.ts';

/** An address that is in use answers ARP within a millisecond on a bridge; the wait is once per container start. */
const ARP_WAIT_MS = 40;

/** Any datagram makes the kernel ask by ARP; to this port none means anything (RFC 863). */
const DISCARD = 9;

/** `ip -batch` lines that are still missing; empty when the router is the gateway already. */
export function gatewayPlan(gateway: Gateway, observed: Observed): string[] {
  const { address, device, upstream } = gateway;
  const mac = gatewayMac(parseIpv4(address)!);
  const link = observed.links.find(({ name }) => name === device);
  const hasAddress = observed.addresses.some((have) => have.device === device && have.address === address);
  const ours = observed.routes.find(
    ({ destination, protocol }) => destination === 'default' && protocol === String(ROUTE_PROTOCOL),
  );
  return [
    // The services cache the gateway's MAC, so a recreated router must have the same.
    ...(link?.mac === mac ? [] : [`link set dev ${device} address ${mac}`]),
    ...(hasAddress ? [] : [`address add ${address}/32 dev ${device} label ${device}${GATEWAY_LABEL}`]),
    ...(ours?.via === upstream && ours.device === device
      ? []
      : [`route replace default via ${upstream} dev ${device} proto ${ROUTE_PROTOCOL}`]),
  ];
}

/**
 * MAC of whoever else on the bridge answers for `address`; undefined when nobody does. Another router of this network
 * answers with the very MAC that this one would take, since it follows from the address.
 */
async function holderOf(address: string, device: string): Promise<string | undefined> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.send('', DISCARD, address, () => resolve()));
  socket.close();
  await new Promise((resolve) => setTimeout(resolve, ARP_WAIT_MS));
  const rows = JSON.parse(await runOk(['ip', '-j', '-4', 'neigh', 'show', 'to', address, 'dev', device])) as {
    lladdr?: string;
  }[];
  return rows.find(({ lladdr }) => lladdr !== undefined)?.lladdr;
}

/**
 * Lets everybody on the bridge know the MAC that `address` has now. The sender of any ARP request is entered by those who have it already, with
 * whatever MAC, and by those who wait for it (arp_process in the kernel, RFC 826). So the router asks from this address for one that it has forgotten.
 * @throws when the address was taken from the router meanwhile.
 */
async function tell(address: string, { device, upstream }: Gateway): Promise<void> {
  await runOk(['ip', 'neigh', 'flush', 'to', upstream, 'dev', device]);
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address, port: 0 }, () => socket.send('', DISCARD, upstream, () => resolve()));
    });
  } finally {
    socket.close();
  }
}

/**
 * Applies what is missing. Returns whether it changed anything, or the problem in the way.
 * @throws CommandError when the kernel refuses a line.
 */
export async function becomeGateway(
  gateway: Gateway,
  observed: Observed,
): Promise<{ changed: boolean; problem?: Problem }> {
  const lines = gatewayPlan(gateway, observed);
  if (lines.length === 0) return { changed: false };
  if (lines.some((line) => line.startsWith('address add'))) {
    const holder = await holderOf(gateway.address, gateway.device);
    if (holder !== undefined) {
      const message =
        `the gateway address ${gateway.address} is already used by another container (MAC ${holder}): a network can have one router; ` +
        'stop the other one, or give this stack a network of its own with its own aux_addresses: {DefaultGatewayIPv4: ...}';
      return { changed: false, problem: { code: 'gateway-taken', message } };
    }
  }
  await runOk(['ip', '-batch', '-'], `${lines.join('\n')}\n`);
  return { changed: true };
}

/**
 * For when the gateway was changed: those who know its addresses learn its MAC.
 * @throws when an address was taken from the router meanwhile.
 */
export async function tellAddresses(gateway: Gateway, observed: Observed): Promise<void> {
  // The host remembers its own address with the MAC that Docker gave it, or the last router had, and would send what is for it (published ports,
  // answers from outside) there for up to ten seconds, until its entry is found dead.
  const own = observed.addresses.filter(
    ({ device, address }) => device === gateway.device && address !== gateway.address && parseIpv4(address),
  );
  for (const { address } of own) await tell(address, gateway);
  // A service that asked before there was anybody would wait a second before it asks again.
  await tell(gateway.address, gateway);
}
