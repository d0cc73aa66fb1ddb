/** `./scripts/test-contexts.sh` */
import { paint } from '../embedded/progress.ts';
import { chooseContexts } from './assemble.ts';
import { Board } from './board.ts';
import { checkContexts } from './check-run.ts';
import { interruptible, main, parseLine } from './cli.ts';
import { openDesk } from './desk.ts';
import { type Status, summary, verdictTable } from './verdict.ts';

const NAME = 'test-contexts';
const COLOURS = { ok: 'green', FAILED: 'red', note: 'bold', skipped: 'dim' } as const;

await main(NAME, async () => {
  const { names } = parseLine(process.argv.slice(2), []);
  const chosen = await chooseContexts(names);
  const screen = process.stdout;
  const board = new Board(screen, ['desk', ...chosen.contexts.map(({ name }) => name)]);
  for (const warning of chosen.warnings) board.line(`  ! ${warning}`);
  const desk = await openDesk();
  try {
    const verdicts = await checkContexts(
      desk,
      chosen,
      board,
      interruptible(() => board.line('ending ...')),
    );
    const colour = (status: Status, text: string) => paint(screen, COLOURS[status], text);
    board.line();
    for (const row of verdictTable(verdicts, colour)) board.line(row);
    board.line();
    board.line(summary(verdicts));
    return verdicts.some(({ status }) => status === 'FAILED') ? 1 : 0;
  } finally {
    desk.close();
  }
});
