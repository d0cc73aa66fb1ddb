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
  if (lines.length === 0) return [];
  const result = await run([program, '-force', '-batch', '-'], `${lines.join('\n')}\n`);
  if (result.code === 0) return [];
  const failures = failedLines(lines, result.stderr);
  return failures.length > 0 ? failures : [`${program} -batch: ${result.stderr.trim().split('\n')[0]}`];
}

async function nft(scripts: readonly string[]): Promise<string[]> {
  if (scripts.length === 0) return [];
  const result = await run(['nft', '-f', '-'], `${scripts.join('\n')}\n`);
  return result.code === 0 ? [] : [`nft: ${result.stderr.trim().split('\n').slice(0, 2).join(' ')}`];
}

/** What failed, in words; empty when all went well. @throws when a program cannot be started. */
export async function applyPlan(plan: Plan): Promise<string[]> {
  return [
    ...(await batch('bridge', plan.bridgeAdd)),
    ...(await batch('ip', plan.ipAdd)),
    ...(await nft(plan.nft)),
    ...(await batch('ip', plan.ipDelete)),
    ...(await batch('bridge', plan.bridgeDelete)),
  ];
}
