/** `test-contexts.sh`: every check of every context, all hosts at the same time. */
import { randomInt } from 'node:crypto';
import { assemble, type Chosen, lostVerdict, type Member } from './assemble.ts';
import type { Board } from './board.ts';
import { clockOffset, clockVerdicts } from './checks/clock.ts';
import { engineId, kernelVerdict } from './checks/connection.ts';
import { deskVerdicts } from './checks/desk.ts';
import { checkPaths, type End } from './checks/paths.ts';
import { addressVerdict, checkTunnel, hostFacts, hostVerdict, type Programs, type Tunnel } from './checks/tunnel.ts';
import type { Desk } from './desk.ts';
import { HostLost } from './host.ts';
import type { HostFacts } from './host-facts.ts';
import { bringImages, ROUTER_IMAGE } from './images.ts';
import { bundleProgram } from './programs.ts';
import { VXLAN_PORT } from './stack-facts.ts';
import { failed, passed, skipped, type Verdict } from './verdict.ts';

const DESK = 'this desk';
/** Any VNI of 24 bits that is not somebody's: two of these runs at the same time do not hear each other. */
const VNIS = [0xd00000, 0xdfffff] as const;

interface Examined {
  readonly member: Member;
  readonly index: number;
  readonly engine: string;
  readonly facts: HostFacts;
  readonly tunnel: Tunnel;
  readonly clockMs: number;
}

async function examine(member: Member, index: number, vni: number, programs: Programs): Promise<Examined> {
  const { host, stack } = member;
  const hostIp = stack?.facts.hostIp;
  const [engine, facts] = await Promise.all([engineId(host), hostFacts(host, programs, hostIp)]);
  const firstPort = stack?.facts.vxlanPort ?? VXLAN_PORT;
  const tunnel = await checkTunnel(host, programs, {
    vni,
    index,
    firstPort,
    facts,
    published: stack?.facts.published ?? false,
  });
  const clockMs = tunnel.agent ? await clockOffset(tunnel.agent) : 0;
  return { member, index, engine, facts, tunnel, clockMs };
}

/** The examined host as an end of paths; undefined where there is no tunnel to test. */
function endOf({ member, index, facts, tunnel }: Examined): End | undefined {
  if (!tunnel.agent || tunnel.port === undefined || !facts.address) return undefined;
  return {
    name: member.host.name,
    index,
    address: facts.address,
    port: tunnel.port,
    mtu: facts.mtu ?? 1500,
    vxlanMtu: member.stack?.facts.vxlanMtu,
    agent: tunnel.agent,
  };
}

/** Contexts that lead to one engine are one host. */
function distinct(examined: readonly Examined[]): Examined[] {
  return examined.filter(({ engine }, i) => examined.findIndex((other) => other.engine === engine) === i);
}

async function pathsBetween(examined: readonly Examined[], board: Board): Promise<Verdict[]> {
  const ends = distinct(examined).flatMap((one) => endOf(one) ?? []);
  if (ends.length < 2) return [skipped('hosts', 'paths', 'needs two hosts with a tunnel')];
  return board.step('hosts', 'paths', async (detail) => {
    detail(`${ends.length * (ends.length - 1)} directions`);
    return checkPaths(ends);
  });
}

async function withImages(desk: Desk, members: readonly Member[], board: Board, signal: AbortSignal) {
  const outcomes = await bringImages(
    desk,
    members.map(({ host }) => host),
    board,
    signal,
  );
  const verdicts = [...outcomes].map(([host, why]) => {
    if (!why) return passed(host.name, 'images');
    if (why instanceof HostLost) return lostVerdict(why);
    return failed(host.name, 'images', why.message, './scripts/build.sh on that host says more');
  });
  return { ready: members.filter(({ host }) => outcomes.has(host) && !outcomes.get(host)), verdicts };
}

async function examineAll(members: readonly Member[], board: Board, signal: AbortSignal) {
  const [agent, facts] = await Promise.all([
    bundleProgram(new URL('agent.ts', import.meta.url)),
    bundleProgram(new URL('host-facts.ts', import.meta.url)),
  ]);
  const programs: Programs = { agent, hostFacts: facts, image: ROUTER_IMAGE };
  const vni = randomInt(VNIS[0], VNIS[1]);
  const verdicts: Verdict[] = [];
  const examined: Examined[] = [];
  const one = async (member: Member, index: number) => {
    const { host } = member;
    try {
      examined.push(await board.step(host.name, 'host', () => examine(member, index + 1, vni, programs)));
    } catch (cause) {
      signal.throwIfAborted();
      verdicts.push(cause instanceof HostLost ? lostVerdict(cause) : hostVerdict(host.name, (cause as Error).message));
    }
  };
  await Promise.all(members.map(one));
  examined.sort((a, b) => a.index - b.index);
  return { examined, verdicts };
}

function hostVerdicts({ member, facts, tunnel }: Examined): Verdict[] {
  const { host, stack } = member;
  const kernel = kernelVerdict(host.name, host.system);
  return [...(kernel ? [kernel] : []), addressVerdict(host.name, facts, stack?.facts.hostIp), ...tunnel.verdicts];
}

/** What containers on the hosts see of these and of the way between them. The hosts have the images. */
export async function checkHosts(members: readonly Member[], board: Board, signal: AbortSignal): Promise<Verdict[]> {
  const { examined, verdicts } = await examineAll(members, board, signal);
  try {
    const offsets = examined.flatMap(({ member, clockMs, tunnel }) =>
      tunnel.agent ? { subject: member.host.name, ms: clockMs } : [],
    );
    const paths = await pathsBetween(examined, board);
    return [...verdicts, ...examined.flatMap(hostVerdicts), ...clockVerdicts(DESK, offsets), ...paths];
  } finally {
    for (const { tunnel } of examined) tunnel.agent?.close();
  }
}

async function checkMembers(members: readonly Member[], desk: Desk, board: Board, signal: AbortSignal) {
  if (members.length === 0) return [];
  const { ready, verdicts } = await withImages(desk, members, board, signal);
  return [...verdicts, ...(await checkHosts(ready, board, signal))];
}

/** Everything that was found, a context's lines together, what concerns two hosts at the end. */
export async function checkContexts(desk: Desk, chosen: Chosen, board: Board, signal: AbortSignal): Promise<Verdict[]> {
  const own = await deskVerdicts(DESK, desk, signal);
  if (own.some(({ status }) => status === 'FAILED')) return own;
  const { members, verdicts } = await assemble(desk, chosen, board, signal);
  try {
    const all = [...own, ...verdicts, ...(await checkMembers(members, desk, board, signal))];
    const names = [DESK, ...chosen.contexts.map(({ name }) => name)];
    const rank = ({ subject }: Verdict) => (names.includes(subject) ? names.indexOf(subject) : names.length);
    // Sorting keeps the order of what is equal.
    return all.sort((a, b) => rank(a) - rank(b));
  } finally {
    for (const { host } of members) host.close();
  }
}
