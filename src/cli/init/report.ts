/** What init tells its user. Pure. */
import { createTwoFilesPatch } from 'diff';
import type { Decision } from './decide.ts';

const list = (words: readonly string[]) => words.join(', ');

/** The difference as a unified diff with all of a new file; empty when there is none. */
export function difference(name: string, before: string | undefined, after: string): string {
  if (before === after) return '';
  const patch = createTwoFilesPatch(before === undefined ? '/dev/null' : name, name, before ?? '', after, '', '', {
    context: 3,
  });
  // The first line is a ruler.
  return patch.slice(patch.indexOf('\n') + 1);
}

/** Colours for a terminal. */
export function painted(diff: string): string {
  const paint = (line: string) => {
    if (line.startsWith('+')) return `\x1b[32m${line}\x1b[0m`;
    return line.startsWith('-') ? `\x1b[31m${line}\x1b[0m` : line;
  };
  return diff.split('\n').map(paint).join('\n');
}

export interface Seen {
  readonly files: readonly string[];
  readonly seesHost: boolean;
  readonly networks: number;
  /** Undefined: nobody listened. */
  readonly heard?: number;
  readonly unread: number;
  readonly trouble?: string;
}

function searched({ seesHost, networks, heard, trouble }: Seen): string {
  if (!seesHost)
    return 'from a container without --network host neither the routes of the host nor other stacks can be seen';
  const stacks =
    heard === undefined ? 'did not listen for other stacks' : `${heard} other stack${heard === 1 ? '' : 's'} heard`;
  return `${networks} routes and networks of this host looked at, ${trouble ? `other stacks not heard: ${trouble}` : stacks}`;
}

/** The facts, one a line. */
export function summary(decision: Decision, project: string, seen: Seen): string {
  const { override, choice, stackId, gateway } = decision;
  const connected = choice.members.filter(({ why }) => why === undefined).map(({ service }) => service);
  const left = choice.members.filter(({ why }) => why !== undefined);
  const rows: [string, string][] = [
    ['project', `${project} (${list(seen.files)})`],
    ['stack id', `${stackId}, VNI ${override.vni}`],
    ['network', `${choice.key}, ${override.subnet}, the router at ${gateway}`],
    ['looked', searched(seen)],
    ['connected', list(connected) || 'no service'],
    ...left.map(({ service, why }, index): [string, string] => [index === 0 ? 'left out' : '', `${service}: ${why}`]),
  ];
  return rows.map(([name, text]) => `  ${name.padEnd(10)} ${text}\n`).join('');
}

/** Hints for what follows from what could not be seen. */
export function hints(decision: Decision, seen: Seen, notes: readonly string[]): string[] {
  return [
    ...notes,
    ...decision.notes,
    ...(seen.unread > 0
      ? [
          `${seen.unread} announcements could not be read (sealed with a key, or of another version): their subnets are not known here`,
        ]
      : []),
    ...(seen.seesHost
      ? []
      : [
          "the subnet follows from the stack's name alone; with `--network host` behind `docker run` it is compared with the host and the other stacks",
        ]),
  ];
}

/** The lines to type next. */
export function next(files: readonly string[], automatic: boolean): string {
  const named = automatic ? '' : `${files.map((file) => `-f ${file}`).join(' ')} `;
  const also = automatic ? '' : `\nor put this line into .env and leave -f out:\n  COMPOSE_FILE=${files.join(':')}\n`;
  return `Next:\n  docker compose ${named}up -d\n${also}(If the stack is up already: docker compose ${named}down before that, once, since a network cannot be changed in place.)
Then, a moment later, this shows the other stacks:
  docker compose ${named}exec router docker-router status\n`;
}
