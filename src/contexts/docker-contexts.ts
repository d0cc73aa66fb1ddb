/** Docker's own contexts, kept in step with the file. Only those that these tools made are ever changed. */
import { LOCAL } from './address.ts';
import { type Argv, commandOk } from './command.ts';

/** Stands before the description of every context that these tools make. */
const MARK = 'docker-router: ';
const WITHIN_MS = 10_000;

export interface DockerContext {
  readonly name: string;
  readonly description: string;
  readonly endpoint: string;
  readonly current: boolean;
}

export interface Wanted {
  readonly name: string;
  readonly host: string;
  readonly description: string;
}

export type Step =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'create' | 'update' | 'remove'; readonly argv: Argv }
  /** Somebody else's context of this name, which leads to the same engine and serves as well. */
  | { readonly kind: 'borrowed' }
  | { readonly kind: 'refused'; readonly why: string };

/** Output of `docker context ls --format '{{json .}}'`: an object a line. */
export function parseContextList(output: string): DockerContext[] {
  return output
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const row = JSON.parse(line) as Record<string, unknown>;
      return {
        name: String(row.Name),
        description: String(row.Description ?? ''),
        endpoint: String(row.DockerEndpoint ?? ''),
        current: row.Current === true || row.Current === 'true',
      };
    });
}

export const isOurs = ({ description }: DockerContext): boolean => description.startsWith(MARK);

const described = ({ description, name }: Wanted) => `${MARK}${description || name}`;

function removal(existing: DockerContext): Step {
  if (!isOurs(existing)) return { kind: 'nothing' };
  if (existing.current) {
    return {
      kind: 'refused',
      why: `Docker uses the context ${existing.name} right now; first: docker context use default`,
    };
  }
  return { kind: 'remove', argv: ['docker', 'context', 'rm', existing.name] };
}

/** What makes Docker's context be as the file says. Pure. `wanted` without a host of its own (`local`) needs none. */
export function stepTo(wanted: Wanted, existing: DockerContext | undefined): Step {
  if (wanted.host === LOCAL) return existing ? removal(existing) : { kind: 'nothing' };
  const settings = ['--description', described(wanted), '--docker', `host=${wanted.host}`] as const;
  if (!existing) return { kind: 'create', argv: ['docker', 'context', 'create', wanted.name, ...settings] };
  if (isOurs(existing)) {
    const same = existing.endpoint === wanted.host && existing.description === described(wanted);
    if (same) return { kind: 'nothing' };
    return { kind: 'update', argv: ['docker', 'context', 'update', wanted.name, ...settings] };
  }
  if (existing.endpoint === wanted.host) return { kind: 'borrowed' };
  const why =
    `Docker has a context ${wanted.name} already, which leads to ${existing.endpoint} and was not made by this tool; ` +
    `choose another name, or remove it yourself: docker context rm ${wanted.name}`;
  return { kind: 'refused', why };
}

/** What takes Docker's context of a name away: only one of ours. Pure. */
export function stepAway(existing: DockerContext | undefined): Step {
  return existing ? removal(existing) : { kind: 'nothing' };
}

/** Contexts that these tools made and the file no longer knows. Pure. */
export function orphans(existing: readonly DockerContext[], names: readonly string[]): string[] {
  return existing.filter((context) => isOurs(context) && !names.includes(context.name)).map(({ name }) => name);
}

const environment = (): NodeJS.ProcessEnv => {
  // With these set Docker warns that contexts are not in use.
  const { DOCKER_HOST: _host, DOCKER_CONTEXT: _context, ...rest } = process.env;
  return rest;
};

/** Docker's contexts. @throws CommandFailed, or an Error when there is no Docker client. */
export async function dockerContexts(): Promise<DockerContext[]> {
  const argv: Argv = ['docker', 'context', 'ls', '--format', '{{json .}}'];
  return parseContextList(await commandOk(argv, { withinMs: WITHIN_MS, environment: environment() }));
}

/** @throws CommandFailed when Docker refuses. */
export async function take(step: Step): Promise<void> {
  if ('argv' in step) await commandOk(step.argv, { withinMs: WITHIN_MS, environment: environment() });
}
