/** `docker-router trust list | forget STACK`: the identities that this stack knows, for its operator. Runs in the discovery container. */
import * as v from 'valibot';
import { EXIT_USAGE } from '../cli/command.ts';
import { ConfigError, EXIT_CONFIG } from '../config/variables.ts';
import { StackIdSchema } from '../record/record.ts';
import { Bindings } from './bindings.ts';
import { readIdentity } from './identity.ts';

const HELP = `docker-router trust: the identities by which this stack knows itself and the others

Usage: docker-router trust list
       docker-router trust forget STACK

Identities are kept by the discovery service: docker compose exec discovery docker-router trust list

list            this stack's fingerprint, and each stack's with the time it was first seen
forget STACK    forgets the identity of a stack; the next one that speaks for it is bound to it
`;

const say = (text: string) => process.stdout.write(`${text}\n`);

function complain(text: string, status: number): number {
  process.stderr.write(`docker-router trust: ${text}\n`);
  return status;
}

async function list(folder: string, bindings: Bindings): Promise<number> {
  const own = await readIdentity(folder);
  say(`${process.env.STACK_ID ?? '(this stack)'}  ${own?.fingerprint ?? '(no identity yet)'}  this stack`);
  const rows = [...bindings.all].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [stackId, { fingerprint, since }] of rows) say(`${stackId}  ${fingerprint}  since ${since}`);
  return 0;
}

function forget(bindings: Bindings, stackId: string | undefined): number {
  if (!v.is(StackIdSchema, stackId)) return complain(`forget needs the id of a stack\n\n${HELP}`, EXIT_USAGE);
  if (!bindings.forget(stackId)) return complain(`no identity is known of ${stackId}; "list" shows those that are`, 1);
  say(`${stackId} is forgotten; the next identity that speaks for it is bound to it`);
  return 0;
}

/** Exit status: 0; 1 when there is nothing to forget; 64 for wrong words; 78 when there is no IDENTITY_DIR. */
export async function main(args: readonly string[]): Promise<number> {
  const [command, stackId] = args;
  if (command === undefined || ['--help', '-h', 'help'].includes(command)) {
    process.stdout.write(HELP);
    return command === undefined ? EXIT_USAGE : 0;
  }
  if (command !== 'list' && command !== 'forget') return complain(`no such command: ${command}\n\n${HELP}`, EXIT_USAGE);
  const folder = process.env.IDENTITY_DIR?.trim();
  if (!folder)
    return complain(
      'IDENTITY_DIR is not set here: identities are kept by the discovery service, "docker compose exec discovery docker-router trust ..."',
      EXIT_CONFIG,
    );
  try {
    const bindings = new Bindings(folder, new Map());
    bindings.refresh();
    return command === 'list' ? await list(folder, bindings) : forget(bindings, stackId);
  } catch (cause) {
    const problem = cause instanceof ConfigError ? cause.problems.join('; ') : (cause as Error).message;
    return complain(`${problem} (are you the user that discovery runs as?)`, EXIT_CONFIG);
  }
}
