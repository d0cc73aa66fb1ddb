/** Runs a measurement of the control plane in namespaces that end with it, however it ends. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Options } from './options.ts';
import type { Findings } from './rows.ts';

const MAIN = fileURLToPath(new URL('control/main.ts', import.meta.url));

/** When this process ends, so does unshare (pdeathsig), so does the first process of the PID namespace, and with it all in it. */
const NAMESPACES = [
  'setpriv',
  '--pdeathsig',
  'KILL',
  'unshare',
  '--net',
  '--mount',
  '--pid',
  '--fork',
  '--kill-child=KILL',
  '--mount-proc',
];

/** @throws Error when the measurement fails; it has printed why. */
export async function isolated(name: string, { quick }: Pick<Options, 'quick'>): Promise<Findings> {
  const args = [...NAMESPACES.slice(1), process.execPath, '--import', 'tsx', MAIN, name, quick ? 'quick' : 'long'];
  const child = spawn(NAMESPACES[0]!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`the measurement ${name} ended with status ${code}`);
  return JSON.parse(Buffer.concat(output).toString()) as Findings;
}
