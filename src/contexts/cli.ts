/** What the three commands have in common: options, the end by Ctrl-C, exit statuses. */
import { constants } from 'node:os';
import { Refused } from './refused.ts';

/** sysexits.h, as the daemons use them. */
export const EXIT_USAGE = 64;
const EXIT_CONFIG = 78;

export class Usage extends Error {}

export class Interrupted extends Error {
  readonly signalName: NodeJS.Signals;
  constructor(signalName: NodeJS.Signals) {
    super('interrupted');
    this.signalName = signalName;
  }
}

export interface Line {
  readonly options: ReadonlySet<string>;
  readonly names: readonly string[];
}

/** @throws Usage for an option that is not among `known` */
export function parseLine(args: readonly string[], known: readonly string[]): Line {
  const options = args.filter((argument) => argument.startsWith('-'));
  const strange = options.find((option) => !known.includes(option));
  if (strange) throw new Usage(`no such option: ${strange}`);
  return { options: new Set(options), names: args.filter((argument) => !argument.startsWith('-')) };
}

/** Aborted by the first signal; the second one ends the process at once. */
export function interruptible(onFirst: () => void): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(128 + constants.signals[name]);
      controller.abort(new Interrupted(name));
      onFirst();
    });
  }
  return controller.signal;
}

/** Runs a command and ends the process with its exit status. */
export async function main(name: string, work: () => Promise<number>): Promise<never> {
  // A terminal that is closed, or a pipe whose reader has gone, must not keep us from cleaning up.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  try {
    process.exit(await work());
  } catch (cause) {
    if (cause instanceof Interrupted) process.exit(128 + constants.signals[cause.signalName]);
    const lines = cause instanceof Refused ? cause.problems : [(cause as Error).message];
    for (const line of lines) process.stderr.write(`${name}: ${line}\n`);
    if (cause instanceof Usage) {
      process.stderr.write(`${name} --help says more\n`);
      process.exit(EXIT_USAGE);
    }
    process.exit(cause instanceof Refused ? EXIT_CONFIG : 1);
  }
}
