/** `docker-router doctor`: what goes wrong in practice, checked in order. */
import { parseArgs } from 'node:util';
import { type Diagnosis, diagnose } from '../doctor/checks.ts';
import { gather } from '../doctor/facts.ts';
import { EXIT_USAGE } from './command.ts';

const HELP = `docker-router doctor: what goes wrong in practice, checked in order, with the line that mends it

Usage: docker-router doctor [--json]

In a running stack: docker compose exec router docker-router doctor
Where the router does not stay up: docker compose run --rm router doctor

  --json    for programs

Ends with status 1 when something is wrong.
`;

function text(diagnoses: readonly Diagnosis[]): string {
  const width = Math.max(...diagnoses.map(({ name }) => name.length));
  const lines = diagnoses.flatMap(({ name, good, findings, skipped }) =>
    findings.length === 0
      ? [
          skipped === undefined
            ? `✓ ${name.padEnd(width)}  ${good}`
            : `· ${name.padEnd(width)}  not looked at: ${skipped}`,
        ]
      : findings.flatMap(({ level, text, remedy }) => [
          `${level === 'fault' ? '✗' : '!'} ${name.padEnd(width)}  ${text}`,
          `  ${''.padEnd(width)}  → ${remedy}`,
        ]),
  );
  const count = diagnoses.reduce((sum, { findings }) => sum + findings.length, 0);
  const last = count === 0 ? 'nothing is wrong' : `${count} finding${count === 1 ? '' : 's'}`;
  return `${lines.join('\n')}\n\n${last}\n`;
}

export async function main(args: readonly string[]): Promise<number> {
  const flag = { type: 'boolean', default: false } as const;
  let chosen: { json?: boolean; help?: boolean };
  try {
    chosen = parseArgs({ args: [...args], options: { json: flag, help: { ...flag, short: 'h' } } }).values;
  } catch (cause) {
    process.stderr.write(`docker-router doctor: ${(cause as Error).message}\n\n${HELP}`);
    return EXIT_USAGE;
  }
  if (chosen.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const diagnoses = diagnose(await gather(process.env, (line) => process.stderr.write(`${line}\n`)));
  process.stdout.write(chosen.json ? `${JSON.stringify(diagnoses, undefined, 2)}\n` : text(diagnoses));
  return diagnoses.some(({ findings }) => findings.length > 0) ? 1 : 0;
}
