/** Real etcd members for tests: started on loopback, ended with this process however that ends, data in a temporary folder. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { EtcdConfig } from '../../src/config/etcd-config.ts';
import { freePort } from '../support/free-port.ts';

const execFileAsync = promisify(execFile);

/** Installs the packages where they are missing. To be called before a private network is entered. */
export function installEtcd(): void {
  execFileSync(fileURLToPath(new URL('./install.sh', import.meta.url)), { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** ETCD_TEST_BIN names another folder of etcd and etcdctl, to test another version. */
const program = (name: string) => join(process.env.ETCD_TEST_BIN ?? '', name);

export interface ServerTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Clients need a certificate of this CA; `client` is one. */
  readonly clientCa?: string;
  readonly client?: { readonly cert: string; readonly key: string };
}

/** A network namespace for a member. */
export interface Place {
  /** The argument vector in front of a command that shall run there. */
  readonly enter: readonly string[];
  /** Address that it listens on. */
  readonly host: string;
}

export interface ServerOptions {
  readonly tls?: ServerTls;
  readonly flags?: readonly string[];
  /** Network namespaces of the members, each with its own ports; without them all are here, on loopback. */
  readonly places?: readonly Place[];
  /** Do not wait until it serves: the certificate is not one that etcdctl would take. */
  readonly unverified?: boolean;
}

/** For members to serve, and for one of them to lead. */
const SERVES_MS = 60_000;

const leftovers = new Set<string>();

/** Removes a temporary folder when this process ends. */
export function removeAtExit(folder: string): void {
  const clear = () => {
    for (const path of leftovers) rmSync(path, { recursive: true, force: true });
  };
  if (leftovers.size === 0) process.once('exit', clear);
  leftovers.add(folder);
}

export class EtcdMember {
  readonly url: string;
  readonly #args: readonly string[];
  readonly #log: string;
  readonly #folder: string;
  readonly #enter: readonly string[];
  #child: ChildProcess | undefined;

  constructor(url: string, args: readonly string[], folder: string, enter: readonly string[]) {
    this.url = url;
    this.#enter = enter;
    this.#args = [...args, '--data-dir', join(folder, 'data')];
    this.#folder = folder;
    this.#log = join(folder, 'log');
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** It ended by itself. */
  get ended(): boolean {
    return this.#child !== undefined && this.#child.exitCode !== null;
  }

  /** Starts the member. Whether it serves is for the caller to wait for, since one of several cannot serve alone. */
  start(): void {
    const log = openSync(this.#log, 'a');
    // pdeathsig: however this process ends, the server ends too.
    const argv = ['--pdeathsig', 'KILL', ...this.#enter, program('etcd'), ...this.#args];
    this.#child = spawn('setpriv', argv, { stdio: ['ignore', log, log], env: { PATH: process.env.PATH } });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  pause(): void {
    this.#child!.kill('SIGSTOP');
  }

  resume(): void {
    this.#child!.kill('SIGCONT');
  }

  /** Forgets everything, as a new disk. */
  wipe(): void {
    rmSync(join(this.#folder, 'data'), { recursive: true, force: true });
  }

  log(): string {
    return readFileSync(this.#log, 'utf8');
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function memberArgs(name: string, url: string, peer: string, cluster: string, options: ServerOptions): string[] {
  const { tls, flags = [] } = options;
  return [
    ...['--name', name, '--log-level', 'error', '--initial-cluster', cluster, '--initial-cluster-token', cluster],
    ...['--listen-client-urls', url, '--advertise-client-urls', url],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
    ...(tls ? ['--cert-file', tls.cert, '--key-file', tls.key] : []),
    ...(tls?.clientCa ? ['--client-cert-auth', '--trusted-ca-file', tls.clientCa] : []),
    ...flags,
  ];
}

export interface CtlOptions {
  readonly endpoints?: readonly string[];
  readonly user?: string;
  readonly input?: string;
  /** For an answer. */
  readonly seconds?: number;
}

export class EtcdCluster {
  readonly members: readonly EtcdMember[];
  readonly #options: ServerOptions;

  private constructor(members: readonly EtcdMember[], options: ServerOptions) {
    this.members = members;
    this.#options = options;
  }

  /** Starts `size` members and waits until they serve. */
  static async start(size: number, options: ServerOptions = {}): Promise<EtcdCluster> {
    const scheme = options.tls ? 'https' : 'http';
    const plans = [];
    for (let i = 0; i < size; i += 1) {
      const { host, enter } = options.places?.[i] ?? { host: '127.0.0.1', enter: [] };
      const ports = options.places ? [2379, 2380] : [await freePort(host), await freePort(host)];
      plans.push({ name: `m${i}`, enter, url: `${scheme}://${host}:${ports[0]}`, peer: `http://${host}:${ports[1]}` });
    }
    const list = plans.map(({ name, peer }) => `${name}=${peer}`).join(',');
    const members = plans.map(({ name, url, peer, enter }) => {
      const folder = mkdtempSync(join(tmpdir(), 'docker-router-etcd-'));
      removeAtExit(folder);
      return new EtcdMember(url, memberArgs(name, url, peer, list, options), folder, enter);
    });
    for (const member of members) member.start();
    const cluster = new EtcdCluster(members, options);
    if (!options.unverified) await cluster.healthy();
    return cluster;
  }

  get urls(): string[] {
    return this.members.map(({ url }) => url);
  }

  /** Waits until every member given answers a linearizable read. */
  async healthy(members: readonly EtcdMember[] = this.members): Promise<void> {
    const deadline = performance.now() + SERVES_MS;
    for (const member of members) {
      for (;;) {
        try {
          await this.ctl(['get', 'health'], { endpoints: [member.url], seconds: 5 });
          break;
        } catch (cause) {
          // An etcd that wants a user says so, and so it serves.
          if (/user name is empty|permission denied/.test(String(cause))) break;
          if (member.ended || performance.now() > deadline)
            throw new Error(`etcd does not serve: ${member.log().slice(-500)}\n${cause}`);
          await sleep(100);
        }
      }
    }
  }

  /** The member that leads, and its id as etcdctl takes it; once there is one, since an election may be going on. */
  async leader(): Promise<{
    readonly member: EtcdMember;
    readonly others: readonly { member: EtcdMember; id: string }[];
  }> {
    const deadline = performance.now() + SERVES_MS;
    for (;;) {
      const status = await this.ctl(['endpoint', 'status', '-w', 'simple']);
      const rows = status
        .trim()
        .split('\n')
        .map((line) => line.split(', '));
      const all = this.members.map((member) => ({ member, row: rows.find((row) => row[0] === member.url) ?? [] }));
      const leading = all.filter(({ row }) => row[4] === 'true');
      const others = all.filter((each) => each !== leading[0]).map(({ member, row }) => ({ member, id: row[1]! }));
      if (leading.length === 1) return { member: leading[0]!.member, others };
      if (performance.now() > deadline) throw new Error(`etcd has no leader: ${status}`);
      await sleep(100);
    }
  }

  /** Runs etcdctl. @throws with its message when it fails. */
  async ctl(args: readonly string[], how: CtlOptions = {}): Promise<string> {
    const { tls } = this.#options;
    const argv = [
      '--endpoints',
      (how.endpoints ?? this.urls).join(','),
      '--dial-timeout=5s',
      // A busy machine may not get to it for seconds.
      `--command-timeout=${how.seconds ?? 30}s`,
      ...(how.user ? ['--user', how.user] : []),
      ...(tls ? ['--cacert', tls.ca] : []),
      ...(tls?.client ? ['--cert', tls.client.cert, '--key', tls.client.key] : []),
      ...args,
    ];
    const env = { PATH: process.env.PATH, ETCDCTL_API: '3' };
    const [first, ...rest] = [...(this.#options.places?.[0]?.enter ?? []), program('etcdctl'), ...argv];
    const running = execFileAsync(first!, rest, { env });
    // EPIPE when it does not read its input.
    running.child.stdin!.on('error', () => undefined);
    running.child.stdin!.end(how.input ?? '');
    return (await running).stdout;
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    for (const member of this.members) member.remove();
  }
}

/** Configuration as tests use it: a short lease, so that deaths are noticed soon. */
export function etcdConfig(endpoints: readonly string[], changes: Partial<EtcdConfig> = {}): EtcdConfig {
  return {
    endpoints,
    prefix: '/docker-router/discovery',
    leaseTtlMs: 3000,
    username: undefined,
    password: undefined,
    tls: { ca: undefined, cert: undefined, key: undefined },
    ...changes,
  };
}
