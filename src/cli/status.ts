/** `docker-router status`: this stack and all the others, as they are now. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { readStatus } from '../status/read.ts';
import { statusText } from '../status/table.ts';
import { EXIT_USAGE } from './command.ts';

const HELP = `docker-router status: this stack and all the others, as they are now

Usage: docker-router status [--json] [--watch]

In a running stack: docker compose exec router docker-router status

  --json    for programs
  --watch   again every two seconds, until Ctrl-C

ROUND TRIP and LOSS are measured between the two routers, through the tunnel, over the last five minutes. RECEIVED is what came
from that stack. HEARD is its last announcement.
`;

const WATCH_MS = 2000;
const CLEAR = '\x1b[H\x1b[2J';

async function once(json: boolean): Promise<string> {
  const view = await readStatus(process.env.STATE_DIR ?? '/var/lib/docker-router');
  return json ? `${JSON.stringify(view, undefined, 2)}\n` : statusText(view, Date.now());
}

async function show(json: boolean, clear: boolean): Promise<number> {
  try {
    const text = await once(json);
    process.stdout.write(clear ? `${CLEAR}${text}` : text);
    return 0;
  } catch (cause) {
    process.stderr.write(`docker-router status: ${(cause as Error).message}\n`);
    return 1;
  }
}

function options(args: readonly string[]) {
  const flag = { type: 'boolean', default: false } as const;
  return parseArgs({ args: [...args], options: { json: flag, watch: flag, help: { ...flag, short: 'h' } } }).values;
}

export async function main(args: readonly string[]): Promise<number> {
  let chosen: ReturnType<typeof options>;
  try {
    chosen = options(args);
  } catch (cause) {
    process.stderr.write(`docker-router status: ${(cause as Error).message}\n\n${HELP}`);
    return EXIT_USAGE;
  }
  const { json = false, watch = false, help } = chosen;
  if (help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (!watch) return show(json, false);
  // Who has seen enough (`| head`) closes the pipe: an end like any other.
  process.stdout.on('error', () => process.exit(0));
  for (;;) {
    await show(json, !json && process.stdout.isTTY);
    await sleep(WATCH_MS);
  }
}
