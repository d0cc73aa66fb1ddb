/** `./scripts/setup-contexts.sh`: the file and Docker's own contexts, in step. */
import { LOCAL } from './address.ts';
import { main, parseLine, Usage } from './cli.ts';
import { type DockerContext, dockerContexts, orphans, type Step, stepAway, stepTo, take } from './docker-contexts.ts';
import {
  conflicts,
  contextsOf,
  type Document,
  emptyDocument,
  formatFile,
  parseFile,
  withContext,
  withoutContext,
} from './file.ts';
import { contextsFile, findCompose, readContexts, writeContexts } from './places.ts';
import { Refused } from './refused.ts';

const NAME = 'setup-contexts';
const say = (text: string) => process.stdout.write(`${text}\n`);
const warn = (text: string) => process.stderr.write(`${NAME}: ${text}\n`);

interface Desk {
  readonly path: string;
  readonly document: Document;
  readonly docker: readonly DockerContext[];
}

async function look(): Promise<Desk> {
  const path = contextsFile();
  const file = await readContexts(path);
  if (file && !file.ok) throw new Refused(file.problems.map((problem) => `${path}: ${problem}`));
  for (const warning of file?.warnings ?? []) warn(`${path}: ${warning}`);
  return { path, document: file?.document ?? emptyDocument(), docker: await dockerContexts() };
}

const existing = ({ docker }: Desk, name: string) => docker.find((context) => context.name === name);

/** Docker first: what it refuses must not stand in the file. */
async function apply(desk: Desk, step: Step, document: Document): Promise<void> {
  if (step.kind === 'refused') throw new Refused([step.why]);
  await take(step);
  // The same text is not written again: an unchanged file keeps its time, and a read-only one is no problem.
  if (formatFile(document) !== formatFile(desk.document)) await writeContexts(desk.path, document);
}

const done: Record<Exclude<Step['kind'], 'refused'>, string> = {
  nothing: '',
  create: '; Docker context created',
  update: '; Docker context updated',
  remove: '; Docker context removed',
  borrowed: '; Docker has this context already, it is used and left as it is',
};
const doneBy = (step: Step) => (step.kind === 'refused' ? '' : done[step.kind]);

async function add(args: readonly string[]): Promise<void> {
  const { options, names } = parseLine(args, ['--disabled']);
  const [name, host, description, composeFile, stackName, ...rest] = names;
  if (!name || !host || description === undefined || !composeFile || !stackName || rest.length > 0) {
    throw new Usage('add NAME HOST DESCRIPTION COMPOSE_FILE STACK_NAME');
  }
  const desk = await look();
  const before = desk.document.contexts[name];
  const enabled = !options.has('--disabled');
  const entry = { description, host, enabled, compose_file: composeFile, stack_name: stackName };
  const document = withContext(desk.document, name, entry);
  // What the command line brings passes the same schema as what a person writes into the file.
  const checked = parseFile(formatFile(document));
  if (!checked.ok) throw new Refused(checked.problems);
  const step = stepTo({ name, host, description }, existing(desk, name));
  await apply(desk, step, document);
  const same = JSON.stringify(before) === JSON.stringify(document.contexts[name]);
  say(`${name}: ${before ? (same ? 'is there already' : 'changed') : 'added'}${doneBy(step)}`);
  if (!findCompose(composeFile, desk.path))
    warn(`there is no ${composeFile} yet, neither beside ${desk.path} nor in examples/multi-stack`);
  for (const problem of conflicts(contextsOf(document).filter((context) => context.enabled))) warn(problem);
  if (host !== LOCAL) say(`next: ./scripts/test-contexts.sh ${name}`);
}

async function remove(names: readonly string[]): Promise<void> {
  const [name, ...rest] = names;
  if (!name || rest.length > 0) throw new Usage('remove NAME');
  const desk = await look();
  const known = Object.hasOwn(desk.document.contexts, name);
  const step = stepAway(existing(desk, name));
  await apply(desk, step, known ? withoutContext(desk.document, name) : desk.document);
  say(`${name}: ${known ? 'removed' : 'is not there'}${doneBy(step)}`);
}

async function enable(names: readonly string[], enabled: boolean): Promise<void> {
  if (names.length === 0) throw new Usage(`${enabled ? 'enable' : 'disable'} NAME...`);
  for (const name of names) {
    const desk = await look();
    const context = contextsOf(desk.document).find((candidate) => candidate.name === name);
    if (!context) throw new Refused([`${desk.path}: has no context ${name}`]);
    const step = stepTo(context, existing(desk, name));
    const document = withContext(desk.document, name, { enabled });
    await apply(desk, step, document);
    const state = enabled ? 'enabled' : 'disabled';
    say(`${name}: ${context.enabled === enabled ? `is ${state} already` : state}${doneBy(step)}`);
    for (const problem of conflicts(contextsOf(document).filter((other) => other.enabled))) warn(problem);
  }
}

async function list(): Promise<void> {
  const desk = await look();
  const contexts = contextsOf(desk.document);
  if (contexts.length === 0)
    say('no contexts: ./scripts/setup-contexts.sh add NAME HOST DESCRIPTION COMPOSE_FILE STACK_NAME');
  for (const context of contexts) {
    const step = stepTo(context, existing(desk, context.name));
    if (step.kind === 'create' || step.kind === 'update') await take(step);
    if (step.kind === 'refused') warn(step.why);
  }
  const rows = contexts.map((context) => [
    context.name,
    context.enabled ? 'enabled' : 'disabled',
    context.host,
    context.stack_name,
    context.compose_file,
    context.description,
  ]);
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]!.length))) ?? [];
  for (const row of rows)
    say(
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    );
  for (const name of orphans(
    desk.docker,
    contexts.map((context) => context.name),
  )) {
    warn(
      `Docker's context ${name} was made by this tool and is not in ${desk.path}; if nobody needs it: ./scripts/setup-contexts.sh remove ${name}`,
    );
  }
}

await main(NAME, async () => {
  const [command, ...args] = process.argv.slice(2);
  if (command === 'add') await add(args);
  else if (command === 'remove') await remove(args);
  else if (command === 'enable' || command === 'disable') await enable(args, command === 'enable');
  else if (command === 'list') await list();
  else throw new Usage(`no such command: ${command ?? '(none)'}`);
  return 0;
});
