/** What goes wrong in practice, in the order in which to look: facts -> findings, each with the line that mends it. Pure. */
import { VXLAN_OVERHEAD } from '../desired/device.ts';
import { WIREGUARD_OVERHEAD } from '../desired/tunnel.ts';
import type { DroppedInput } from '../router/discovery-input.ts';
import { proxied } from '../router/offload.ts';
import type { PeerEntry, SelfEntry } from '../state/discovery-file.ts';
import type { RouterFile } from '../state/router-file.ts';
import { endpointInWords, openPorts, portsInWords, udpPorts } from '../status/ports.ts';
import type { PeerView } from '../status/view.ts';

export interface Facts {
  readonly netAdmin: boolean;
  /** Where the host's network namespace should be mounted, and whether it is. */
  readonly handle: { readonly path: string; readonly present: boolean };
  /** UNDERLAY of this container's environment. */
  readonly underlay: string;
  readonly forwards: boolean;
  /** undefined: there is none, or it cannot be read; `unread` says why. */
  readonly router: RouterFile | undefined;
  readonly self: SelfEntry | undefined;
  readonly peers: readonly PeerEntry[];
  readonly views: readonly PeerView[];
  readonly dropped: Readonly<Record<string, DroppedInput>>;
  readonly unread: readonly string[];
  /** Transmit checksum offload of vxlan0; undefined without such a device. */
  readonly checksumOffload: boolean | undefined;
  /** Stacks whose routers were asked with packets of the tunnel's MTU, and did they answer. */
  readonly large: ReadonlyMap<string, boolean>;
  /** Of the unreachable stacks those from which packets came in meanwhile. */
  readonly heard: ReadonlySet<string>;
}

export interface Finding {
  readonly level: 'fault' | 'note';
  /** What is wrong, and where. */
  readonly text: string;
  /** The line that mends it. */
  readonly remedy: string;
}

export interface Check {
  readonly name: string;
  /** What is well when nothing is found. */
  readonly good: string;
  /** The file by which it judges: without that it would find nothing wrong. */
  readonly by?: 'router.json' | 'discovery.json';
  readonly find: (facts: Facts) => readonly Finding[];
}

/** A clock that is off by more than this makes sealed announcements fail sooner or later (CLOCK_TOLERANCE). */
const CLOCK_MS = 30_000;

/** What was dropped before that is no trouble of now. */
const RECENT_MS = 90_000;

const fault = (text: string, remedy: string): Finding => ({ level: 'fault', text, remedy });
const problemsOf = ({ router }: Facts, ...codes: string[]) =>
  (router?.problems ?? []).filter(({ code }) => codes.includes(code));

/** Our messages are `WHAT; REMEDY`. */
function split(message: string): Finding {
  const [text, ...rest] = message.split('; ');
  return fault(text!, rest.join('; ') || 'docker compose logs router');
}

const rejected = (facts: Facts, pattern: RegExp): Finding[] => [
  ...(facts.self?.reason && pattern.test(facts.self.reason)
    ? [split(`this stack is rejected by the others: ${facts.self.reason}`)]
    : []),
  ...facts.peers
    .filter(({ status, reason }) => status === 'rejected' && reason !== undefined && pattern.test(reason))
    .map(({ stack_id, host_ip, reason }) => split(`stack ${stack_id} on ${host_ip}: ${reason}`)),
];

/** Bytes of the largest packet of the tunnel as the hosts' network sees it. */
const onTheWay = (router: RouterFile | undefined): number =>
  (router?.mtu ?? 0) + (router?.encryption ? WIREGUARD_OVERHEAD : VXLAN_OVERHEAD);

function blocked({ views, heard, self, router }: Facts): Finding[] {
  const own = udpPorts(router ?? self ?? {});
  return views
    .filter(({ condition }) => condition === 'unreachable')
    .map((peer) => {
      const { stack_id, host_ip, udp_ports } = peer;
      if (heard.has(stack_id)) {
        return fault(
          `packets of ${stack_id} arrive here, ours do not arrive there or the answers do not come back`,
          `let ${portsInWords(udp_ports)} from ${self?.host_ip} in on ${host_ip}: ${openPorts(udp_ports, false)}; where its router has published ports, DOCKER-USER in place of INPUT`,
        );
      }
      return fault(
        `nothing of ${stack_id} (${endpointInWords(peer)}) arrives here`,
        `let ${portsInWords(own)} from ${host_ip} in on this host, ${self?.host_ip}: ${openPorts(own, router?.underlay === 'published')}; and the same there`,
      );
    });
}

const CHECKS_OF_THIS_CONTAINER: readonly Check[] = [
  {
    name: 'capability',
    good: 'the router has NET_ADMIN',
    find: ({ netAdmin }) =>
      netAdmin ? [] : [fault('the capability NET_ADMIN is missing', 'router service: cap_add: [NET_ADMIN]')],
  },
  {
    name: 'files',
    good: 'discovery and router meet in the shared volume',
    find: ({ unread }) => unread.map((text) => split(text)),
  },
  {
    name: 'handle',
    good: "the tunnel uses the host's network, or a published port because it was told to",
    find: ({ handle, underlay }) =>
      handle.present || underlay === 'published'
        ? []
        : [
            fault(
              `the host's network namespace is not mounted at ${handle.path}: the tunnel needs a published port and is half as fast`,
              `router service: volumes: ["/proc/1/ns/net:${handle.path}:ro"]`,
            ),
          ],
  },
  {
    name: 'forwarding',
    good: 'the router forwards IPv4',
    find: ({ forwards }) =>
      forwards
        ? []
        : [fault('IPv4 forwarding is off in the router', 'router service: sysctls: [net.ipv4.ip_forward=1]')],
  },
  {
    name: 'gateway',
    by: 'router.json',
    good: 'the services send through the router',
    find: (facts) =>
      problemsOf(facts, 'not-gateway', 'gateway-taken', 'no-network').map(({ message }) => split(message)),
  },
  {
    name: 'kernel',
    by: 'router.json',
    good: 'the kernel holds what it should',
    find: (facts) =>
      problemsOf(facts, 'kernel-refused', 'not-settled', 'foreign-route').map(({ message }) => split(message)),
  },
];

const CHECKS_OF_THE_OTHERS: readonly Check[] = [
  {
    name: 'stack ids',
    by: 'discovery.json',
    good: 'no two stacks with one id',
    find: (facts) => rejected(facts, /stack id \S+ is already used|another stack with the id/),
  },
  {
    name: 'subnets',
    by: 'discovery.json',
    good: 'no subnets that overlap',
    find: (facts) => rejected(facts, /overlap|subnet \S+ is already used/),
  },
  {
    name: 'keys',
    by: 'discovery.json',
    good: 'all announcements open with our keys',
    find: (facts) => {
      const kinds = Object.entries(facts.dropped).filter(
        ([kind, { ago }]) => /not sealed|another key/.test(kind) && ago < RECENT_MS,
      );
      return [
        ...kinds.map(([kind, { count }]) =>
          fault(
            `${count} announcements were dropped: ${kind}`,
            'give all stacks the same DISCOVERY_KEYS (the first seals, all open)',
          ),
        ),
        ...rejected(facts, /^failed authentication: (?!.*clock)/),
      ];
    },
  },
  {
    name: 'clocks',
    by: 'discovery.json',
    good: 'the clocks agree',
    find: (facts) => [
      ...rejected(facts, /clock/),
      ...facts.views
        .filter(({ clock_offset_ms = 0 }) => Math.abs(clock_offset_ms) > CLOCK_MS)
        .map(({ stack_id, host_ip, clock_offset_ms = 0 }) =>
          fault(
            `the clock of ${stack_id} is ${Math.round(Math.abs(clock_offset_ms) / 1000)} s ${clock_offset_ms > 0 ? 'ahead' : 'behind'}`,
            `set the clocks of ${host_ip} and of this host by NTP: timedatectl set-ntp true`,
          ),
        ),
    ],
  },
  { name: 'way', by: 'discovery.json', good: 'the other routers answer through the tunnel', find: blocked },
  {
    name: 'MTU',
    by: 'discovery.json',
    good: 'large packets pass',
    find: ({ large, router }) =>
      [...large]
        .filter(([, passed]) => !passed)
        .map(([stack]) =>
          fault(
            `small packets reach ${stack}, packets of ${router?.mtu} bytes do not: something on the way takes less than ${onTheWay(router)}`,
            `router service, in both stacks: environment: { VXLAN_MTU: ${(router?.mtu ?? 1450) - 100} }, or less until this check passes`,
          ),
        ),
  },
  {
    name: 'checksums',
    by: 'discovery.json',
    good: 'checksums are filled in where a proxy may pass packets on',
    find: ({ router, checksumOffload, peers }) =>
      router?.underlay === 'published' && checksumOffload && proxied({ peers })
        ? [
            fault(
              'transmit checksum offload of vxlan0 is on and a stack is on this host, behind a proxy in user space: ping works and TCP hangs',
              'docker compose exec router ethtool -K vxlan0 tx off',
            ),
          ]
        : [],
  },
  {
    name: 'bridge filter',
    by: 'discovery.json',
    good: 'the host does not filter bridged traffic',
    find: ({ self }) =>
      self?.bridges_filter
        ? [
            {
              level: 'note',
              text: 'the host hands bridged traffic to iptables: a port that a service publishes does not answer remote clients',
              remedy: 'on the host: sysctl -w net.bridge.bridge-nf-call-iptables=0, or publish the port on the router',
            },
          ]
        : [],
  },
];

export const CHECKS: readonly Check[] = [...CHECKS_OF_THIS_CONTAINER, ...CHECKS_OF_THE_OTHERS];

export interface Diagnosis {
  readonly name: string;
  readonly good: string;
  readonly findings: readonly Finding[];
  /** Why it was not looked at. */
  readonly skipped?: string;
}

export function diagnose(facts: Facts): Diagnosis[] {
  const there = { 'router.json': facts.router !== undefined, 'discovery.json': facts.self !== undefined };
  return CHECKS.map(({ name, good, by, find }) => {
    const skipped = by !== undefined && !there[by] ? `there is no ${by} that can be read` : undefined;
    return { name, good, findings: find(facts), ...(skipped !== undefined && { skipped }) };
  });
}
