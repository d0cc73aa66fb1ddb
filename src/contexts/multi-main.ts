/** `./scripts/test-multi-context.sh` */
import { paint } from '../embedded/progress.ts';
import { type Assembled, assemble, type Chosen, chooseContexts, type Member } from './assemble.ts';
import { Board } from './board.ts';
import { engineId } from './checks/connection.ts';
import { interruptible, main, parseLine, Usage } from './cli.ts';
import { collect } from './collect.ts';
import { type Desk, openDesk } from './desk.ts';
import { countPaths, matrixRows } from './matrix.ts';
import { connectStacks, type Result } from './multi-run.ts';
import { plainText } from './plain-text.ts';
import { removeAll, removeProbes } from './stack-life.ts';
import { type Verdict, verdictTable } from './verdict.ts';

const NAME = 'test-multi-context';
const DOWN = './scripts/test-multi-context.sh --down';
const bad = (verdicts: readonly Verdict[]) => verdicts.filter(({ status }) => status === 'FAILED');

/** One member for each engine: what two contexts have made on one is removed once. */
async function oneForEachEngine(members: readonly Member[]): Promise<Member[]> {
  const ids = await Promise.all(members.map(({ host }) => engineId(host.uninterrupted()).catch(() => host.name)));
  return members.filter((_, i) => ids.indexOf(ids[i]!) === i);
}

/** Takes down what runs have made on each host, however they ended. Returns the names of hosts where that did not work. */
async function cleanUp({ members }: Assembled, board: Board): Promise<string[]> {
  const one = async ({ host }: Member) => {
    try {
      await board.step(host.name, 'down', async (detail) => {
        const projects = await removeAll(host.uninterrupted());
        detail(projects.join(', ') || 'nothing to remove');
      });
      return [];
    } catch {
      return [host.name];
    }
  };
  return (await Promise.all((await oneForEachEngine(members)).map(one))).flat();
}

function reportLines({ names, outcomes, verdicts }: Result, before: readonly Verdict[]): string[] {
  const failures = bad([...before, ...verdicts]);
  const paths = [...outcomes].flatMap(([key, outcome]) =>
    outcome.ok ? [] : `  ${key} FAILED: ${plainText(outcome.error)}`,
  );
  const { connected, all } = countPaths(names, outcomes);
  return [
    '',
    ...matrixRows(names, outcomes),
    '',
    ...verdictTable(failures),
    ...paths,
    `connected: ${connected}/${all} paths`,
  ];
}

const succeeded = ({ names, outcomes, verdicts }: Result, before: readonly Verdict[]): boolean => {
  const { connected, all } = countPaths(names, outcomes);
  return all > 0 && connected === all && bad([...before, ...verdicts]).length === 0;
};

function printKept({ stacks }: Result, board: Board): void {
  board.line(`left running; to remove it: ${DOWN}`);
  for (const { host, file, project } of stacks) {
    board.line(`  docker --context ${host.name} compose -f ${JSON.stringify(file)} -p ${project} ps`);
  }
}

async function test(
  desk: Desk,
  assembled: Assembled,
  board: Board,
  signal: AbortSignal,
  keep: boolean,
): Promise<number> {
  const before = assembled.verdicts;
  for (const row of verdictTable(before.filter(({ status }) => status === 'FAILED' || status === 'skipped')))
    board.line(row);
  const result = await connectStacks(desk, assembled, board, signal);
  const lines = reportLines(result, before);
  for (const line of lines) board.line(line.includes('FAILED') ? paint(board.screen, 'red', line) : line);
  if (result.names.length < 2) board.line('it takes two stacks to connect them: ./scripts/setup-contexts.sh list');
  const good = succeeded(result, before);
  if (!good && result.stacks.length > 0)
    board.line(`logs and state of both ends: ${await collect(result.stacks, lines.join('\n'))}`);
  if (keep) {
    await Promise.all(assembled.members.map(({ host }) => removeProbes(host).catch(() => undefined)));
    printKept(result, board);
  }
  return good ? 0 : 1;
}

async function withHosts(chosen: Chosen, options: ReadonlySet<string>): Promise<number> {
  const board = new Board(process.stdout, ['desk', ...chosen.contexts.map(({ name }) => name)]);
  for (const warning of chosen.warnings) board.line(`  ! ${warning}`);
  const signal = interruptible(() => board.line('ending; once more to end at once'));
  const desk = await openDesk();
  let assembled: Assembled | undefined;
  let finished = false;
  try {
    assembled = await assemble(desk, chosen, board, signal);
    const keep = options.has('--keep');
    const status = options.has('--down')
      ? bad(assembled.verdicts).length > 0
        ? 1
        : 0
      : await test(desk, assembled, board, signal, keep);
    finished = keep;
    return status;
  } finally {
    const left = assembled && !finished ? await cleanUp(assembled, board) : [];
    if (left.length > 0) board.line(`not removed on ${left.join(', ')}; when it answers again: ${DOWN}`);
    for (const { host } of assembled?.members ?? []) host.close();
    desk.close();
  }
}

await main(NAME, async () => {
  const { options, names } = parseLine(process.argv.slice(2), ['--keep', '--down']);
  if (options.has('--keep') && options.has('--down')) throw new Usage('either --keep or --down');
  return withHosts(await chooseContexts(names), options);
});
