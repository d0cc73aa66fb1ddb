/** What both test commands begin with: the file, Docker's contexts, a connection and a compose file for each of the chosen contexts. */

import { LOCAL } from './address.ts';
import type { Board } from './board.ts';
import { checkEngine, checkSsh } from './checks/connection.ts';
import { readStack, type Stack } from './compose.ts';
import { type Desk, hasLocalEngine } from './desk.ts';
import { stepTo, take } from './docker-contexts.ts';
import { conflicts, contextsOf, formatPath, type Named } from './file.ts';
import { type Host, HostLost } from './host.ts';
import { contextsFile, readContexts } from './places.ts';
import { Refused } from './refused.ts';
import { type NamedFacts, type StackFacts, stackConflicts } from './stack-facts.ts';
import { failed, passed, skipped, type Verdict } from './verdict.ts';

export interface Chosen {
  readonly path: string;
  readonly contexts: readonly Named[];
  readonly warnings: readonly string[];
}

/** The contexts a command shall work on: all enabled ones, or those named. @throws Refused */
export async function chooseContexts(names: readonly string[]): Promise<Chosen> {
  const path = contextsFile();
  const file = await readContexts(path);
  if (!file) throw new Refused([`there is no ${path}; make one: cp docker-contexts.json.example docker-contexts.json`]);
  if (!file.ok) throw new Refused(file.problems.map((problem) => `${path}: ${problem}`));
  const all = contextsOf(file.document);
  const missing = names.filter((name) => !all.some((context) => context.name === name));
  if (missing.length > 0) throw new Refused(missing.map((name) => `${path}: has no context ${name}`));
  const contexts = all.filter(({ name, enabled }) => (names.length > 0 ? names.includes(name) : enabled));
  if (contexts.length === 0)
    throw new Refused([`${path}: no context is enabled: ./scripts/setup-contexts.sh enable NAME`]);
  const clash = conflicts(contexts);
  if (clash.length > 0) throw new Refused(clash.map((problem) => `${path}: ${problem}`));
  return { path, contexts, warnings: file.warnings.map((warning) => `${path}: ${warning}`) };
}

/** Makes Docker's contexts as the file says. Returns why not, for those where that does not work. @throws CommandFailed */
async function alignContexts(contexts: readonly Named[], { docker }: Desk): Promise<Map<string, string>> {
  const refused = new Map<string, string>();
  for (const context of contexts) {
    const step = stepTo(
      context,
      docker.find(({ name }) => name === context.name),
    );
    if (step.kind === 'refused') refused.set(context.name, step.why);
    else await take(step);
  }
  return refused;
}

/** A context whose engine answers. */
export interface Member {
  readonly context: Named;
  readonly host: Host;
  /** Undefined when its compose file cannot be used. */
  readonly stack: { readonly file: string; readonly facts: StackFacts } | undefined;
}

export interface Assembled {
  readonly members: readonly Member[];
  /** Every stack that should take part, by its id where its compose file tells it, reachable or not. */
  readonly stackIds: readonly string[];
  readonly verdicts: readonly Verdict[];
}

const BACK = 'start it again, then run this once more';

/** What is said of a host that dropped out. */
export const lostVerdict = (lost: HostLost): Verdict => failed(lost.host, 'connection', lost.message, BACK);

function announceLoss(host: Host, board: Board): void {
  const { signal } = host;
  signal.addEventListener('abort', () => {
    if (signal.reason instanceof HostLost) board.line(`  ✗ ${signal.reason.message}: the others go on without it`);
  });
}

async function joinHost(
  desk: Desk,
  context: Named,
  board: Board,
  signal: AbortSignal,
): Promise<{ host?: Host; verdicts: Verdict[] }> {
  if (context.host === LOCAL && !hasLocalEngine(desk)) {
    return { verdicts: [skipped(context.name, 'engine', 'no Docker Engine on this machine: it is left out')] };
  }
  const verdicts: Verdict[] = [];
  let host: Host | undefined;
  try {
    await board.step(context.name, 'connection', async (detail) => {
      const ssh = await checkSsh(desk, context, signal);
      if (ssh.verdict) verdicts.push(ssh.verdict);
      host = ssh.host;
      if (host) verdicts.push(await checkEngine(host));
      const bad = verdicts.find(({ status }) => status === 'FAILED');
      if (bad) throw new Error(bad.detail);
      detail(verdicts.at(-1)?.detail ?? '');
    });
    announceLoss(host!, board);
    return { host: host!, verdicts };
  } catch (cause) {
    signal.throwIfAborted();
    host?.close();
    if (cause instanceof HostLost) return { verdicts: [lostVerdict(cause)] };
    if (verdicts.some(({ status }) => status === 'FAILED')) return { verdicts };
    return { verdicts: [...verdicts, failed(context.name, 'connection', (cause as Error).message, BACK)] };
  }
}

function stackVerdicts(stacks: readonly Stack[]): Verdict[] {
  const facts: NamedFacts[] = stacks.flatMap((stack) =>
    stack.ok ? { ...stack.facts, context: stack.context.name } : [],
  );
  const clashes = stackConflicts(facts);
  return stacks.flatMap((stack) => {
    const { name, compose_file } = stack.context;
    if (!stack.ok) return failed(name, 'compose file', `${compose_file}: ${stack.problem}`, stack.remedy);
    const own = clashes.filter(({ context }) => context === name);
    if (own.length > 0) return own.map(({ problem, remedy }) => failed(name, 'compose file', problem, remedy));
    return passed(
      name,
      'compose file',
      `${stack.facts.stackId}: VNI ${stack.facts.vni}, ${stack.facts.subnets.join(', ')}`,
    );
  });
}

/** Connects to all at the same time, and reads their compose files. One that fails is in the verdicts and not among the members. */
export async function assemble(desk: Desk, chosen: Chosen, board: Board, signal: AbortSignal): Promise<Assembled> {
  const { path, contexts } = chosen;
  const refused = await alignContexts(contexts, desk);
  const usable = contexts.filter(({ name }) => !refused.has(name));
  const reading = Promise.all(contexts.map((context) => readStack(desk, path, context, signal)));
  // Ctrl-C ends both; it is told by the one that is waited for first.
  reading.catch(() => undefined);
  const joined = await Promise.all(
    usable.map(async (context) => ({ context, ...(await joinHost(desk, context, board, signal)) })),
  );
  const leftOut = new Set(
    joined.flatMap(({ context, verdicts }) =>
      verdicts.some(({ status }) => status === 'skipped') ? context.name : [],
    ),
  );
  const stacks = (await reading).filter(({ context }) => !leftOut.has(context.name));
  const ofStacks = stackVerdicts(stacks);
  const good = (name: string) => !ofStacks.some(({ subject, status }) => subject === name && status === 'FAILED');
  const members = joined.flatMap(({ context, host }): Member[] => {
    if (!host) return [];
    const stack = stacks.find((candidate) => candidate.context === context);
    return [
      { context, host, stack: stack?.ok && good(context.name) ? { file: stack.file, facts: stack.facts } : undefined },
    ];
  });
  const ofNames = [...refused].map(([name, why]) =>
    failed(name, 'context', why, `correct ${formatPath(['contexts', name])}`),
  );
  const stackIds = stacks.map((stack) => (stack.ok ? stack.facts.stackId : stack.context.stack_name));
  return {
    members,
    stackIds: [...new Set(stackIds)],
    verdicts: [...ofNames, ...joined.flatMap(({ verdicts }) => verdicts), ...ofStacks],
  };
}
