/** Life of a daemon process: configuration, start, signals, exit status. */
import type { CommonConfig } from '../config/common.ts';
import { ConfigError, type Environment, EXIT_CONFIG } from '../config/variables.ts';
import { type Logger, startLog } from './log.ts';
import { patience } from './patience.ts';

export interface Daemon {
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface Program<C extends CommonConfig> {
  readonly name: string;
  readonly help: string;
  /** @throws ConfigError */
  readonly config: (env: Environment) => C;
  readonly create: (config: C, log: Logger) => Promise<Daemon>;
}

/** A stop that takes longer than this is cut short: Docker would kill the container after 10 s, its user waits for it. */
const STOP_MS = 900;

/** Prints every problem on a line of its own; no stack trace, since the configuration is to be mended, not the code. */
export function exitOnConfigError(name: string, cause: unknown): never {
  if (!(cause instanceof ConfigError)) throw cause;
  process.stderr.write(`docker-router ${name}: the configuration has ${cause.problems.length} problem(s):\n`);
  for (const problem of cause.problems) process.stderr.write(`  - ${problem}\n`);
  process.exit(EXIT_CONFIG);
}

/** Runs until SIGTERM or SIGINT. Exit status: 0 after a clean stop, 78 for a configuration that cannot work, 1 for a defect. */
export async function runDaemon<C extends CommonConfig>(
  program: Program<C>,
  args: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const [command = 'run'] = args;
  if (command === 'help' || args.some((arg) => arg === '--help' || arg === '-h'))
    return void process.stdout.write(program.help);
  if (command === '--version')
    return void process.stdout.write(`${process.env.DOCKER_ROUTER_VERSION ?? 'development'}\n`);
  if (command !== 'run') {
    process.stderr.write(`docker-router ${program.name}: no such command: ${command}\n\n${program.help}`);
    process.exit(64);
  }
  let daemon: Daemon;
  let log: Logger;
  try {
    const config = program.config(process.env);
    log = startLog(program.name, config);
    daemon = await program.create(config, log);
    await daemon.start();
  } catch (cause) {
    exitOnConfigError(program.name, cause);
  }
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info(`stopping (${signal})`);
    void patience(STOP_MS).then(() => process.exit(0));
    daemon.stop().then(
      () => process.exit(0),
      (cause: Error) => {
        log.error(`while stopping: ${cause.message}`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
}
