/** A lab of the benchmark's own (docs/lab.md): two hosts with a Docker Engine each. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Result, run } from '../../src/process/run.ts';

/** Of Debian, on top of what every lab has. */
const PACKAGES = ['wireguard-go', 'wireguard-tools', 'nebula'];
const SCRIPT = fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url));
/** BENCH_LAB names one that is up already: it is used as it is and left up. */
export const KEPT = process.env.BENCH_LAB;
const LAB = KEPT ?? 'bench';
const script = (...args: string[]): [string, ...string[]] => [
  'env',
  `LAB=${LAB}`,
  `LAB_PACKAGES=${PACKAGES.join(' ')}`,
  SCRIPT,
  ...args,
];

/** @throws Error with the last line of what it printed. */
async function shown(...args: string[]): Promise<void> {
  const [program, ...rest] = script(...args);
  const child = spawn(program, rest, { stdio: ['ignore', 2, 2] });
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`lab.sh ${args.join(' ')} ended with status ${code}`);
}

export async function labUp(): Promise<void> {
  if (KEPT) return;
  await shown('up', '2');
  await shown('load');
}

export async function labDown(): Promise<void> {
  if (!KEPT) await shown('down');
}

export function inHost(host: number, ...argv: string[]): Promise<Result> {
  return run(script('in', String(host), ...argv));
}

/** @throws Error with what the command said. */
export async function ok(host: number, ...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await inHost(host, ...argv);
  if (code !== 0) throw new Error(`host ${host}: ${argv.join(' ')}: ${(stderr || stdout).trim().slice(-300)}`);
  return stdout.trim();
}
