/** `test-multi-context.sh`: the stacks are rolled out to all hosts at the same time, and every path between them is measured. */
import type { Outcome } from '../embedded/paths.ts';
import { type Assembled, lostVerdict, type Member } from './assemble.ts';
import type { Board, Detail } from './board.ts';
import { checkHosts } from './check-run.ts';
import type { Desk } from './desk.ts';
import { type Host, HostLost } from './host.ts';
import { bringImages } from './images.ts';
import { type Outcomes, pairKey, rounds } from './matrix.ts';
import { measure, type Probe, probeProgram, startProbe } from './probes.ts';
import { type Stack, startStack, untilSeen } from './stack-life.ts';
import { failed, type Verdict } from './verdict.ts';

/** Announcements come at once; a busy host starts its containers late. */
const SEEN_MS = 45_000;

export interface Result {
  /** Every stack that should have taken part. */
  readonly names: readonly string[];
  readonly stacks: readonly Stack[];
  readonly outcomes: Outcomes;
  readonly verdicts: readonly Verdict[];
}

const alive = ({ host }: { host: Host }) => !host.signal.aborted;
const stackOf = ({ host, stack, context }: Member): Stack[] =>
  stack ? [{ host, project: context.stack_name, file: stack.file, facts: stack.facts }] : [];

/** Does something for each at the same time. Whoever fails is out, with a verdict; the others go on. */
class Crew {
  readonly verdicts: Verdict[] = [];
  readonly #board: Board;
  readonly #signal: AbortSignal;

  constructor(board: Board, signal: AbortSignal) {
    this.#board = board;
    this.#signal = signal;
  }

  note(host: Host, check: string, cause: unknown, remedy: string): void {
    this.#signal.throwIfAborted();
    const verdict =
      cause instanceof HostLost ? lostVerdict(cause) : failed(host.name, check, (cause as Error).message, remedy);
    const same = ({ subject, detail }: Verdict) => subject === verdict.subject && detail === verdict.detail;
    if (!this.verdicts.some(same)) this.verdicts.push(verdict);
  }

  async each<T>(
    stacks: readonly Stack[],
    what: string,
    work: (stack: Stack, detail: Detail) => Promise<T>,
    remedy: (stack: Stack) => string,
  ): Promise<Map<Stack, T>> {
    const results = new Map<Stack, T>();
    await Promise.all(
      stacks.filter(alive).map(async (stack) => {
        try {
          results.set(stack, await this.#board.step(stack.host.name, what, (detail) => work(stack, detail)));
        } catch (cause) {
          this.note(stack.host, what, cause, remedy(stack));
        }
      }),
    );
    return results;
  }
}

const composeCommand = ({ host, file, project }: Stack) =>
  `docker --context ${host.name} compose -f ${JSON.stringify(file)} -p ${project}`;

async function start(
  desk: Desk,
  stacks: readonly Stack[],
  crew: Crew,
  board: Board,
  signal: AbortSignal,
): Promise<Stack[]> {
  const hosts = stacks.map(({ host }) => host);
  const images = await bringImages(desk, hosts, board, signal);
  for (const [host, why] of images) if (why) crew.note(host, 'images', why, './scripts/build.sh --help');
  const ready = stacks.filter(({ host }) => images.has(host) && !images.get(host));
  const up = await crew.each(
    ready,
    'start',
    (stack, detail) => startStack(stack, stack.host.signal, detail),
    (stack) => `${composeCommand(stack)} up says more`,
  );
  return ready.filter((stack) => up.has(stack));
}

async function meet(stacks: readonly Stack[], crew: Crew): Promise<void> {
  const others = (own: Stack) =>
    stacks.filter((stack) => stack !== own && alive(stack)).map(({ facts }) => facts.stackId);
  await crew.each(
    stacks,
    'peers',
    (stack, detail) => untilSeen(stack, () => others(stack), SEEN_MS, detail),
    () =>
      'multicast has to pass between the hosts (239.1.1.1, UDP 4790), or choose another DISCOVERY_MODE; discovery.log tells more',
  );
}

/** A path that does not work: an error for the board, a result for the matrix. */
class PathFailed extends Error {
  readonly outcome: Outcome;
  constructor(outcome: Outcome & { readonly ok: false }) {
    super(outcome.error);
    this.outcome = outcome;
  }
}

const idOf = ({ stack }: Probe) => stack.facts.stackId;

async function measurePath(from: Probe, to: Probe, program: string, board: Board): Promise<Outcome> {
  const work = async () => {
    const outcome = await measure(from, to, program);
    if (!outcome.ok) throw new PathFailed(outcome);
    return outcome;
  };
  try {
    return await board.step(from.stack.host.name, `→ ${idOf(to)}`, work);
  } catch (cause) {
    if (cause instanceof PathFailed) return cause.outcome;
    throw cause;
  }
}

async function measurePaths(
  probes: readonly Probe[],
  program: string,
  crew: Crew,
  board: Board,
): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  const one = async ([from, to]: readonly [Probe, Probe]) => {
    if (!alive(from.stack) || !alive(to.stack)) return;
    try {
      outcomes.set(pairKey(idOf(from), idOf(to)), await measurePath(from, to, program, board));
    } catch (cause) {
      crew.note(from.stack.host, 'paths', cause, './scripts/test-contexts.sh');
    }
  };
  for (const round of rounds(probes)) await Promise.all(round.map(one));
  return outcomes;
}

/** Where nothing gets through: which of the things that test-contexts.sh checks is the reason. */
async function diagnose(stacks: readonly Stack[], members: readonly Member[], board: Board, signal: AbortSignal) {
  const there = members.filter(({ host }) => stacks.some((stack) => stack.host === host) && alive({ host }));
  const verdicts = await checkHosts(there, board, signal);
  return verdicts.filter(({ status }) => status === 'FAILED');
}

/** Rolls out and measures. Never throws for a host: what failed is in the verdicts. @throws the signal's reason */
export async function connectStacks(
  desk: Desk,
  { members, stackIds: names }: Assembled,
  board: Board,
  signal: AbortSignal,
): Promise<Result> {
  const stacks = members.flatMap(stackOf);
  const crew = new Crew(board, signal);
  const started = await start(desk, stacks, crew, board, signal);
  await meet(started, crew);
  const program = await probeProgram();
  const again = ({ host }: Stack) => `docker --context ${host.name} ps --all`;
  const probes = await crew.each(started, 'probe', (stack) => startProbe(stack, program), again);
  const outcomes = await measurePaths([...probes.values()], program, crew, board);
  const broken = [...outcomes.values()].some(({ ok }) => !ok);
  const reasons = broken ? await diagnose([...probes.keys()], members, board, signal) : [];
  signal.throwIfAborted();
  return { names, stacks, outcomes, verdicts: [...crew.verdicts, ...reasons] };
}
