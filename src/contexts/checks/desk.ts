/** What this machine itself must have: the Docker client, Compose, ssh. */
import { type Argv, commandOk } from '../command.ts';
import type { Desk } from '../desk.ts';
import { failed, passed, type Verdict } from '../verdict.ts';
import { isAtLeast, OLDEST_COMPOSE } from '../versions.ts';

const WITHIN_MS = 10_000;
const COMPOSE_REMEDY = `install the Compose plugin, ${OLDEST_COMPOSE} or newer: https://docs.docker.com/compose/install`;

/** Judges `docker compose version --short`. Pure. */
export function composeVerdict(subject: string, version: string): Verdict {
  if (isAtLeast(version, OLDEST_COMPOSE)) return passed(subject, 'Compose', `Docker Compose ${version}`);
  return failed(subject, 'Compose', `Docker Compose ${version} is too old`, COMPOSE_REMEDY);
}

export async function deskVerdicts(subject: string, desk: Desk, signal: AbortSignal): Promise<Verdict[]> {
  const ask = (argv: Argv) => commandOk(argv, { withinMs: WITHIN_MS, signal, environment: desk.environment });
  try {
    return [composeVerdict(subject, (await ask(['docker', 'compose', 'version', '--short'])).trim())];
  } catch (cause) {
    signal.throwIfAborted();
    return [
      failed(subject, 'Compose', `docker compose does not work here: ${(cause as Error).message}`, COMPOSE_REMEDY),
    ];
  }
}
