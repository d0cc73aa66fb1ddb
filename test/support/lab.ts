/** The lab from a test's point of view: hosts with a Docker Engine each, made by scripts/lab.sh. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Result, run } from '../../src/process/run.ts';

const LAB = fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url));
const DEBIAN_IMAGE = fileURLToPath(new URL('debian-image.sh', import.meta.url));
/** `docker compose up --wait` on a busy machine. */
const COMMAND_MS = 180_000;
const SERVICE = '/repo/test/support/service';

/** Runs lab.sh with its output shown, since booting and building take a while. */
async function labScript(...args: string[]): Promise<void> {
  const child = spawn(LAB, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const code = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(code, 0, `lab.sh ${args.join(' ')}`);
}

/**
 * Registers hooks that boot the lab with all images before the file's tests, run `prepare` in it, and end it afterwards.
 * `options` are those of `lab.sh up`. One hook for both: Node 20 starts all hooks of a file at once. LAB_KEEP=1 uses a lab that is up, and leaves it.
 */
export function useLab(
  hosts: number,
  prepare: () => Promise<unknown> = async () => undefined,
  options: readonly string[] = [],
): void {
  before(
    async () => {
      await boot(hosts, options);
      await prepare();
    },
    { timeout: 900_000 },
  );
  after(async () => {
    if (process.env.LAB_KEEP !== '1') await labScript('down');
  });
}

async function boot(hosts: number, options: readonly string[]): Promise<void> {
  const inspect = [LAB, 'in', String(hosts), 'docker', 'image', 'inspect', 'docker-router-service'] as const;
  if (process.env.LAB_KEEP === '1' && (await run([...inspect])).code === 0) return;
  await labScript('up', String(hosts), ...options);
  await labScript('load');
  await Promise.all(
    hostNumbers(hosts).map((host) => ok(host, 'docker', 'build', '-q', '-t', 'docker-router-service', SERVICE)),
  );
}

export const hostNumbers = (hosts: number): number[] => Array.from({ length: hosts }, (_, i) => i + 1);

/** What the engine says, very rarely, when its runtime died before the command was started: nothing of it has run. */
const NOT_STARTED = /OCI runtime exec failed: .*read init-p: connection reset by peer/;

/** Runs a command in a host; once more where the engine did not get as far as starting it in a container. */
export async function inHost(host: number, ...argv: string[]): Promise<Result> {
  const attempt = () => run([LAB, 'in', String(host), ...argv], '', COMMAND_MS);
  const result = await attempt();
  return result.code === 126 && NOT_STARTED.test(result.stdout + result.stderr) ? attempt() : result;
}

/** The command's output. @throws with what it printed when it fails. */
export async function ok(host: number, ...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await inHost(host, ...argv);
  assert.equal(code, 0, `host ${host}: ${argv.join(' ')}: ${stderr || stdout}`);
  return stdout.trim();
}

/** Runs a command outside the hosts, at 10.77.0.254 and 10.99.0.1. */
export function outside(...argv: string[]): Promise<Result> {
  return run([LAB, 'outside', ...argv]);
}

/** Starts a server outside the hosts. Returns what ends it. */
export function outsideServer(...argv: string[]): () => void {
  const child = spawn(LAB, ['outside', ...argv], { stdio: 'ignore' });
  return () => void child.kill('SIGTERM');
}

/** Makes an image of Debian packages and gives it to a host's engine, in place of one that a registry would have. */
export async function importDebian(host: number, tag: string, packages: readonly [string, ...string[]]): Promise<void> {
  const { code, stdout, stderr } = await run([DEBIAN_IMAGE, packages[0], ...packages], '', 300_000);
  assert.equal(code, 0, stderr);
  const child = spawn(LAB, ['in', String(host), 'docker', 'import', '-', tag], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  createReadStream(stdout.trim()).pipe(child.stdin);
  assert.equal(await new Promise((resolve) => child.once('close', resolve)), 0, `docker import ${tag}`);
}

/** Writes a file in a host, such as a compose file of the test's own. */
export async function writeInHost(host: number, path: string, text: string): Promise<void> {
  const { code, stderr } = await run([LAB, 'in', String(host), 'tee', path], text);
  assert.equal(code, 0, stderr);
}

/** Repeats until it no longer throws. @throws the last error after `seconds`. */
export async function eventually<T>(seconds: number, attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      if (Date.now() > deadline) throw cause;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Stops a container. Returns milliseconds from the engine's signal to the container's end, without Docker's own work around them. */
export async function stopTime(host: number, container: string): Promise<number> {
  const since = await ok(host, 'date', '+%s.%N');
  await ok(host, 'docker', 'stop', '-t', '8', container);
  const until = await ok(host, 'date', '+%s.%N');
  const filter = ['--since', since, '--until', until, '--filter', `container=${container}`];
  const events = await ok(host, 'docker', 'events', ...filter, '--format', '{{.Action}} {{.TimeNano}}');
  const at = (action: string) => {
    const [, nanoseconds] =
      new RegExp(`^${action} (\\d+)$`, 'm').exec(events) ?? assert.fail(`no ${action} in ${events}`);
    return Number(BigInt(nanoseconds!) / 1_000_000n);
  };
  return at('die') - at('kill');
}
