/** A context's compose file, as Compose on this desk understands it. Needs no engine. */
import { CommandFailed, commandOk } from './command.ts';
import type { Desk } from './desk.ts';
import { formatPath, type Named } from './file.ts';
import { composeCandidates, findCompose } from './places.ts';
import { type Facts, stackFacts } from './stack-facts.ts';

const WITHIN_MS = 15_000;

export type Stack = { readonly context: Named; readonly file: string } & Facts;

/** Arguments of `docker` in front of a Compose command on a stack. */
export function composeArguments(file: string, stackName: string): string[] {
  return ['compose', '-f', file, '-p', stackName];
}

/** Looks for the compose file, has Compose read it, and takes out what matters. Never throws but for the signal. */
export async function readStack(desk: Desk, contextsPath: string, context: Named, signal: AbortSignal): Promise<Stack> {
  const path = formatPath(['contexts', context.name, 'compose_file']);
  const file = findCompose(context.compose_file, contextsPath);
  if (!file) {
    const places = composeCandidates(context.compose_file, contextsPath).join(' and ');
    return {
      context,
      file: '',
      ok: false,
      problem: 'there is no such file',
      remedy: `looked for ${places}; correct ${path}`,
    };
  }
  try {
    const argv = ['docker', ...composeArguments(file, context.stack_name), 'config', '--format', 'json'] as const;
    const text = await commandOk(argv, { withinMs: WITHIN_MS, signal, environment: desk.environment });
    return { context, file, ...stackFacts(JSON.parse(text)) };
  } catch (cause) {
    signal.throwIfAborted();
    const problem = cause instanceof CommandFailed ? cause.message : `Compose: ${(cause as Error).message}`;
    const remedy = `docker compose -f ${JSON.stringify(file)} config says more`;
    return { context, file, ok: false, problem, remedy };
  }
}
