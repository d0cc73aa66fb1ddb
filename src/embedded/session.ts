/** One run on the terminal: its options, its screen, and the user's wish to stop. */
import { Progress, type Screen } from './progress.ts';
import { checkedPrefix, DEFAULT_PREFIX, type Environment } from './topology.ts';

export type Command = 'run' | 'check' | 'down';

export interface Options {
  readonly command: Command;
  readonly keep: boolean;
  /** Do not look for a Docker Engine. */
  readonly embedded: boolean;
  readonly prefix: string;
}

/** @throws Error for an argument or a QUICKSTART_PREFIX that makes no sense. */
export function readOptions(argv: readonly string[], env: Environment): Options {
  const flags = new Set(argv);
  const known = ['--keep', '--embedded', '--check', '--down'];
  const unknown = argv.find((argument) => !known.includes(argument));
  if (unknown) throw new Error(`no such option: ${unknown}`);
  if (flags.has('--down') && flags.size > 1) throw new Error('--down stands alone');
  if (flags.has('--check') && flags.size > 1) throw new Error('--check stands alone');
  return {
    command: flags.has('--down') ? 'down' : flags.has('--check') ? 'check' : 'run',
    keep: flags.has('--keep'),
    embedded: flags.has('--embedded'),
    prefix: checkedPrefix(env.QUICKSTART_PREFIX || DEFAULT_PREFIX),
  };
}

export class Interrupted extends Error {
  readonly exitStatus: number;
  constructor(words: string, exitStatus: number) {
    super(words);
    this.exitStatus = exitStatus;
  }
}

/** 128 + signal number, as shells have it. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

export interface Session extends Options {
  readonly progress: Progress;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

/**
 * From here on a signal, or a reader of the output that went away, only aborts `signal`: whoever is at work sees it at its next step and
 * cleans up in order, so that nothing is built and removed at the same time.
 */
export function openSession(options: Options): Session {
  const abort = new AbortController();
  for (const [name, status] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      if (!abort.signal.aborted) abort.abort(new Interrupted(`stopped by ${name}`, status));
    });
  }
  process.stdout.on('error', () => abort.abort(new Interrupted('nobody reads the output', SIGNALS.SIGHUP)));
  process.stderr.on('error', () => undefined);
  return { ...options, progress: new Progress(process.stdout), screen: process.stdout, signal: abort.signal };
}
