/** Checks between hosts, in each direction: does the tunnel's UDP arrive, and how large may a packet be? */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentLink } from '../agent-link.ts';
import { type Answer, PACKET_OVERHEAD, type Request, TUNNEL_OVERHEAD } from '../agent-protocol.ts';
import { failed, passed, skipped, type Verdict } from '../verdict.ts';

/** Size of the packets that only ask whether anything arrives, and how many of them. */
const SMALL = 128;
const SMALL_BURSTS = 5;
/** Sent back to back: all of them are on the way before the path can complain about the first. */
const BURSTS = 3;
/** Sizes that paths are known to have: jumbo frames, Ethernet, PPPoE, tunnels of all kinds, IPv6's and IPv4's smallest. */
const LADDER = [
  9000, 8950, 1500, 1492, 1480, 1460, 1450, 1440, 1420, 1400, 1380, 1350, 1320, 1300, 1280, 1200, 1000, 576,
];
const ARRIVAL_MS = 400;

export interface End {
  readonly name: string;
  readonly index: number;
  readonly address: string;
  readonly port: number;
  readonly mtu: number;
  readonly vxlanMtu: number | undefined;
  readonly agent: AgentLink;
}

/** Packet sizes to try between hosts whose interfaces have these MTUs. Pure. */
export function probeSizes(mtus: readonly number[]): number[] {
  const largest = Math.max(...mtus);
  const sizes = [SMALL, ...LADDER.filter((size) => size <= largest), ...mtus];
  return [...new Set(sizes)].filter((size) => size > PACKET_OVERHEAD + 32).sort((a, b) => a - b);
}

type Side = Pick<End, 'name' | 'address' | 'port' | 'mtu' | 'vxlanMtu'>;

const arrow = (from: Side, to: Side) => `${from.name} → ${to.name}`;

/** How to let the tunnel through, for the three firewalls that people have. */
const openPort = (from: Side, to: Side) =>
  `let UDP ${to.port} from ${from.address} into ${to.name}: sudo ufw allow proto udp from ${from.address} to any port ${to.port}, or ` +
  `sudo firewall-cmd --permanent --add-port=${to.port}/udp && sudo firewall-cmd --reload, or the cloud's security group`;

/** Judges what arrived at `to` from `from`: number of datagrams by packet size. Pure. */
export function pathVerdicts(from: Side, to: Side, counts: Readonly<Record<string, number>> | undefined): Verdict[] {
  const subject = arrow(from, to);
  const udp = `UDP ${to.port}`;
  const arrived = Object.keys(counts ?? {}).map(Number);
  if (arrived.length === 0) {
    return [
      failed(subject, udp, `nothing arrives at ${to.address} from ${from.address}: blocked`, openPort(from, to)),
      skipped(subject, 'MTU', 'nothing arrives'),
    ];
  }
  return [passed(subject, udp, `${from.address} → ${to.address}`), mtuVerdict(from, to, Math.max(...arrived))];
}

function mtuVerdict(from: Side, to: Side, largest: number): Verdict {
  const promised = Math.min(from.mtu, to.mtu);
  if (largest >= promised) return passed(arrow(from, to), 'MTU', `${promised}`);
  const fits = largest - TUNNEL_OVERHEAD;
  const detail = `packets of ${largest} bytes arrive, the interfaces promise ${promised}`;
  if (from.vxlanMtu !== undefined && from.vxlanMtu <= fits) {
    return passed(arrow(from, to), 'MTU', `${detail}; VXLAN_MTU=${from.vxlanMtu} fits`);
  }
  const remedy = `VXLAN_MTU=${fits} for the routers of both stacks, or correct the MTU of the interfaces`;
  return failed(arrow(from, to), 'MTU', detail, remedy);
}

type Found = Readonly<Record<string, number>> | undefined;

/** One conversation with all agents. Whoever drops out is remembered with the reason and left out from then on. */
class Round {
  readonly #ends: readonly End[];
  readonly #out = new Map<End, Error>();

  constructor(ends: readonly End[]) {
    this.#ends = ends;
  }

  get there(): End[] {
    return this.#ends.filter((end) => !this.#out.has(end));
  }

  get failures(): Verdict[] {
    return [...this.#out].map(([{ name }, { message }]) =>
      failed(name, 'paths', message, './scripts/test-contexts.sh once more; docker logs and dmesg on the host'),
    );
  }

  /** Asks all at the same time. */
  async ask(request: (end: End) => Request): Promise<Map<End, Answer>> {
    const answers = new Map<End, Answer>();
    const one = async (end: End) => {
      const answer = await end.agent.ask(request(end));
      if (answer.error) throw new Error(answer.error);
      answers.set(end, answer);
    };
    await Promise.all(this.there.map((end) => one(end).catch((cause: Error) => this.#out.set(end, cause))));
    return answers;
  }
}

/** Sends from every host to every other and looks what arrived. A host that gets lost meanwhile is left out of the verdicts. */
export async function checkPaths(ends: readonly End[]): Promise<Verdict[]> {
  const sizes = probeSizes(ends.map(({ mtu }) => mtu));
  const round = new Round(ends);
  await round.ask(({ index: own }) => {
    const peers = ends
      .filter(({ index }) => index !== own)
      .map(({ index, address, port }) => ({ index, address, port }));
    return { ask: 'peers', peers, sizes };
  });
  await round.ask(() => ({ ask: 'send', sizes: [SMALL], bursts: SMALL_BURSTS }));
  await sleep(ARRIVAL_MS);
  const larger = ({ mtu }: End) => sizes.filter((size) => size > SMALL && size <= mtu);
  await round.ask((end) => ({ ask: 'send', sizes: larger(end), bursts: BURSTS }));
  await sleep(ARRIVAL_MS);
  const answers = await round.ask(() => ({ ask: 'received' }));
  const counts = (from: End, to: End): Found => answers.get(to)?.received?.[from.index];
  const pairs = round.there.flatMap((from) => round.there.filter((to) => to !== from).map((to) => [from, to] as const));
  return [...pairs.flatMap(([from, to]) => pathVerdicts(from, to, counts(from, to))), ...round.failures];
}
