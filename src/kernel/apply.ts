/** Runs a plan. A line that fails is reported and never keeps the others from being applied. */
import type { Plan } from '../plan/plan.ts';
import { run } from '../process/run.ts';

/** Lines of `ip -batch` input that failed, each with the kernel's words. iproute2 names them `Command failed FILE:LINE`. */
export function failedLines(lines: readonly string[], stderr: string): string[] {
  const failures: string[] = [];
  let reason = '';
  for (const line of stderr.split('\n')) {
    const match = /^Command failed .*:(\d+)$/.exec(line.trim());
    if (match) {
      failures.push(`${lines[Number(match[1]) - 1] ?? '?'}: ${reason || 'failed'}`);
      reason = '';
    } else if (line.trim() !== '') reason = line.trim();
  }
  return failures;
}

async function batch(program: 'ip' | 'bridge', lines: readonly string[]): Promise<string[]> {
  const result = await run([program, '-force', '-batch', '-'], `${lines.join('\n')}\n`);
  if (result.code === 0) return [];
  const failures = failedLines(lines, result.stderr);
  return failures.length > 0 ? failures : [`${program} -batch: ${result.stderr.trim().split('\n')[0]}`];
}

/** Runs lines of `ip -batch`, each by itself. Returns what failed, in words. */
export const ipBatch = (lines: readonly string[]): Promise<string[]> => batch('ip', lines);

async function nft(scripts: readonly string[]): Promise<string[]> {
  const result = await run(['nft', '-f', '-'], `${scripts.join('\n')}\n`);
  return result.code === 0 ? [] : [`nft: ${result.stderr.trim().split('\n').slice(0, 2).join(' ')}`];
}

type Program = 'ip' | 'bridge' | 'nft';

interface Batch {
  readonly program: Program;
  readonly lines: readonly string[];
}

/**
 * The plan's lines in their order, by as few processes as that allows: each costs 5 ms, and most changes need one program only.
 * @internal exported for its test
 */
export function batches(plan: Plan): Batch[] {
  const all: [Program, readonly string[]][] = [
    ['bridge', plan.bridgeAdd],
    ['ip', plan.ipAdd],
    ['nft', plan.nft],
    ['ip', plan.ipDelete],
    ['bridge', plan.bridgeDelete],
  ];
  const result: Batch[] = [];
  for (const [program, lines] of all) {
    if (lines.length === 0) continue;
    const last = result.at(-1);
    if (last?.program === program) result[result.length - 1] = { program, lines: [...last.lines, ...lines] };
    else result.push({ program, lines });
  }
  return result;
}

const apply = ({ program, lines }: Batch) => (program === 'nft' ? nft(lines) : batch(program, lines));

/**
 * What is added on the device's tables goes in side by side: nothing is sent there before nft says so.
 * What failed, in words; empty when all went well. @throws when a program cannot be started.
 */
export async function applyPlan(plan: Plan): Promise<string[]> {
  const all = batches(plan);
  const together = plan.bridgeAdd.length > 0 && plan.ipAdd.length > 0 ? 2 : 1;
  const failures = (await Promise.all(all.slice(0, together).map(apply))).flat();
  for (const next of all.slice(together)) failures.push(...(await apply(next)));
  return failures;
}
