/**
 * The lab as this level needs it: hosts with sshd, and outside of them a desk with the Docker client, a copy of the repository in a path
 * with a space, and a key that the hosts accept.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/process/run.ts';
import { eventually, ok, outside } from '../support/lab.ts';

process.env.LAB ??= 'contexts';
// Elsewhere Node is one file that runs on any Debian; Debian's own is not.
if (execFileSync('ldd', [process.execPath], { encoding: 'utf8' }).includes('libnode'))
  process.env.LAB_PACKAGES = 'nodejs';

const LAB = fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url));
// Whoever interrupts the tests does not wait for their hooks.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    if (process.env.LAB_KEEP !== '1') spawnSync(LAB, ['down'], { stdio: 'ignore' });
    process.exit(130);
  });
}

const TREE = '/root/docker router';
/** What the desk's commands find in their environment, besides what lab.sh gives them. */
export const ENVIRONMENT = { TEST_IMAGE: 'docker-router-service', BASE_IMAGE: 'docker-router-base:latest' };
/** The machine may be busy with other tests. */
const COMMAND_MS = 300_000;

export interface Account {
  readonly host: number;
  /** Port of its sshd. */
  readonly port: number;
}

export const ipv4 = (host: number): string => `10.77.0.${host}`;
export const ipv6 = (host: number): string => `fd00:77::${host}`;

const HOST_SETUP = `set -e
key=$(cat)
for name in user outsider; do
  id $name >/dev/null 2>&1 || useradd --create-home --shell /bin/bash $name
  install -d -m 700 -o $name -g $name /home/$name/.ssh
  echo "$key" >/home/$name/.ssh/authorized_keys
done
usermod --append --groups docker user
mkdir -p /run/sshd; ssh-keygen -A >/dev/null
ip -6 address replace "$1" dev eth0 nodad
pgrep -x sshd >/dev/null || /usr/sbin/sshd -p "$2"
cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub`;

/** Starts sshd with an account `user`, which may use the engine, and `outsider`, which may not. Returns the line of known_hosts. */
export async function openHost({ host, port }: Account): Promise<string> {
  const publicKey = (await outside('cat', '.ssh/id_ed25519.pub')).stdout;
  const argv = ['bash', '-c', HOST_SETUP, 'setup', `${ipv6(host)}/64`, String(port)];
  const { code, stdout, stderr } = await run([LAB, 'in', String(host), ...argv], publicKey);
  assert.equal(code, 0, stderr);
  // The IPv6 addresses of the others stay unknown, for a test of just that.
  const names = port === 22 ? [ipv4(host)] : [ipv4(host), ipv6(host)].map((address) => `[${address}]:${port}`);
  return `${names.join(',')} ${stdout.trim()}\n`;
}

const DESK_SETUP = `set -e
mkdir -p "$1" .ssh
cd "$1"
cp -a /repo/package.json /repo/package-lock.json /repo/tsconfig.json /repo/scripts /repo/src /repo/examples /repo/discovery /repo/router /repo/image /repo/docs /repo/docker-contexts.json.example .
ln -sfn /repo/node_modules node_modules
ip -6 address replace fd00:77::fe/64 dev switch nodad
cat >/root/.ssh/known_hosts`;

async function installNode(): Promise<void> {
  if ((await outside('node', '--version')).code === 0) return;
  const child = spawn(LAB, ['outside', 'sh', '-c', 'cat >/usr/local/bin/node && chmod 755 /usr/local/bin/node']);
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  // Its exit status says why it has not read everything.
  await pipeline(createReadStream(process.execPath), child.stdin).catch((cause: Error) => {
    said += cause.message;
  });
  const code = child.exitCode ?? (await new Promise((resolve) => child.once('close', resolve)));
  assert.equal(code, 0, `Node.js on the desk: ${said}`);
}

/** Prepares the hosts and the desk. */
export async function openDesk(accounts: readonly Account[]): Promise<void> {
  await installNode();
  const keygen = 'mkdir -p .ssh; [ -e .ssh/id_ed25519 ] || ssh-keygen -q -t ed25519 -N "" -f .ssh/id_ed25519';
  await outside('sh', '-c', keygen);
  const known = await Promise.all(accounts.map((account) => openHost(account)));
  const { code, stderr } = await run([LAB, 'outside', 'bash', '-c', DESK_SETUP, 'setup', TREE], known.join(''));
  assert.equal(code, 0, stderr);
}

export interface Ran {
  readonly code: number;
  /** Both streams, as a person sees them. */
  readonly output: string;
}

export interface Running {
  readonly done: Promise<Ran>;
  /** What it has printed so far. */
  output(): string;
}

const words = (environment: Readonly<Record<string, string>>) =>
  Object.entries(environment).map(([name, value]) => `${name}=${value}`);

/** Starts a command line on the desk, in the repository's copy, as a person would type it. */
export function start(line: string, environment: Readonly<Record<string, string>> = {}): Running {
  const shell = ['bash', '-c', `cd "$1" && ${line}`, 'desk', TREE];
  const argv = ['outside', 'env', ...words({ ...ENVIRONMENT, ...environment }), ...shell];
  const child = spawn(LAB, argv, { stdio: ['ignore', 'pipe', 'pipe'], timeout: COMMAND_MS, killSignal: 'SIGTERM' });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  const done = new Promise<Ran>((resolve) => {
    child.once('close', (code) => resolve({ code: code ?? 137, output }));
  });
  return { done, output: () => output };
}

export const type = (line: string, environment: Readonly<Record<string, string>> = {}): Promise<Ran> =>
  start(line, environment).done;

/** @throws with the output when the command fails */
export async function typeOk(line: string, environment: Readonly<Record<string, string>> = {}): Promise<string> {
  const { code, output } = await type(line, environment);
  assert.equal(code, 0, `${line}\n${output}`);
  return output;
}

/** Waits for a text in what a command prints. @throws when it ends or the time is over first */
export async function untilPrinted(running: Running, pattern: RegExp, seconds: number): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  let ended = false;
  running.done.then(() => {
    ended = true;
  });
  while (!pattern.test(running.output())) {
    if (ended || Date.now() > deadline) assert.fail(`no ${pattern} in:\n${running.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function power(host: number, state: 'on' | 'off'): Promise<void> {
  const { code, stderr } = await run([LAB, state, String(host)]);
  assert.equal(code, 0, stderr);
}

/** What runs of the tools can leave on a host: containers, volumes, networks besides Docker's own three. */
export async function leftOn(host: number): Promise<string> {
  return ok(
    host,
    'sh',
    '-c',
    "docker ps -aq; docker volume ls -q; docker network ls --format '{{.Name}}' | grep -vxE 'bridge|host|none' || true",
  );
}

/** What runs of the tools can leave on the desk. */
export async function leftOnDesk(): Promise<string> {
  return (await outside('sh', '-c', 'pgrep -ax "ssh|docker|node"; ls -d /tmp/drq-* 2>/dev/null; true')).stdout.trim();
}

/** Fails when runs of the tools have left something on the hosts or the desk. */
export const nothingLeft = async (hosts: readonly number[]) => {
  for (const host of hosts) assert.equal(await leftOn(host), '', `host ${host}`);
  await eventually(5, async () => assert.equal(await leftOnDesk(), ''));
};

/** A firewall on a host that lets no tunnel of another in. Other tables of nftables stay as they are. */
export const blockTunnel = (host: number, from: number) => {
  const chain = 'add table inet blocked; add chain inet blocked in { type filter hook input priority 0; }';
  return ok(host, 'nft', `${chain}; add rule inet blocked in ip saddr ${ipv4(from)} udp dport 4789 drop`);
};
/** Takes it away again. */
export const unblock = (host: number) => ok(host, 'nft', 'delete table inet blocked');

/** Lets no larger packets to a host and from it: its end of the cable still promises 1500 bytes. The switch drops without a word. */
export async function pathMtu(host: number, bytes: number): Promise<void> {
  const { code, stderr } = await outside('ip', 'link', 'set', `host${host}`, 'mtu', String(bytes));
  assert.equal(code, 0, stderr);
}
