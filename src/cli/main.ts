/** Entry of the router image: finds the command and reads only its part of the bundle. */
import { EXIT_USAGE } from './command.ts';
import { COMMANDS } from './commands.ts';

function help(): string {
  const names = Object.keys(COMMANDS);
  const width = Math.max(...names.map((name) => name.length));
  const lines = names.map((name) => `  ${name.padEnd(width)}  ${COMMANDS[name]!.summary}`);
  return [
    'docker-router: connects this Compose stack to the others',
    '',
    'Usage: docker-router [COMMAND] [OPTIONS]',
    '',
    ...lines,
    '',
    'docker-router COMMAND --help says more about one. --version prints the version.',
    '',
  ].join('\n');
}

async function dispatch([name = 'run', ...args]: readonly string[]): Promise<number | undefined> {
  if (['--help', '-h', 'help'].includes(name)) return void process.stdout.write(help());
  if (name === '--version') return void process.stdout.write(`${process.env.DOCKER_ROUTER_VERSION ?? 'development'}\n`);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    process.stderr.write(`docker-router: no such command: ${name}\n\n${help()}`);
    return EXIT_USAGE;
  }
  // Whoever reads has seen enough (`| head`). Not for `run`, which prints nothing: the stream would cost it memory.
  if (name !== 'run') process.stdout.on('error', () => process.exit());
  return (await command.load()).main(args);
}

const status = await dispatch(process.argv.slice(2));
if (status !== undefined) process.exitCode = status;
