/** A BIND 9 of a test's own: in the foreground, with everything in a temporary folder, ended with the test however that ends. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DnsServer, TsigAlgorithm, TsigKey } from '../../src/config/dns-config.ts';
import { freePort } from '../support/free-port.ts';

export const DOMAIN = 'docker.example';

export function testKey(name = 'docker-router', algorithm: TsigAlgorithm = 'hmac-sha256', fill = 7): TsigKey {
  return { name, algorithm, secret: Buffer.alloc(32, fill) };
}

export interface BindOptions {
  readonly keys?: readonly TsigKey[];
  /** Type of the zone and where it comes from; a primary one with the records below by default. */
  readonly zoneType?: string;
  /** Statements of the zone, such as its update-policy; by default every key may change every name. */
  readonly zoneStatements?: string;
  /** Records beside SOA and NS, in the zone file's notation. */
  readonly records?: string;
  readonly options?: string;
  readonly more?: string;
  /** The whole of named.conf, given the server's folder and port, instead of all the above but `files`. */
  readonly configuration?: (folder: string, port: number) => string;
  /** Further files in the server's folder: zones for `more`. */
  readonly files?: Readonly<Record<string, string>>;
  readonly port?: number;
  /** Where it listens; 127.0.0.1 unless told otherwise. */
  readonly address?: string;
  /** Network namespace in which it runs. */
  readonly namespace?: string;
}

/** The argument vector that runs a program where the server is. */
const inside = (namespace: string | undefined, argv: readonly string[]): string[] =>
  namespace === undefined ? [...argv] : ['ip', 'netns', 'exec', namespace, ...argv];

/** BIND 9.16 and later take the RFC's names; the SOA's last field is how long "no such name" may be cached. */
export const zoneFile = (records = '', serial = 1) => `$TTL 5
@ IN SOA ns.${DOMAIN}. hostmaster.${DOMAIN}. ${serial} 3600 600 86400 1
@ IN NS ns
ns IN A 127.0.0.1
${records}
`;

function configuration(
  folder: string,
  { address, port }: DnsServer,
  { keys = [testKey()], options = 'notify no;', more = '', zoneType = 'primary', zoneStatements }: BindOptions,
): string {
  const keyStatements = keys.map(
    ({ name, algorithm, secret }) =>
      `key "${name}" { algorithm ${algorithm}; secret "${secret.toString('base64')}"; };`,
  );
  const grants = keys.map(({ name }) => `grant ${name} zonesub ANY;`).join(' ');
  return `options {
  directory "${folder}"; pid-file none; session-keyfile none;
  listen-on port ${port} { ${address}; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; empty-zones-enable no; ${options}
};
controls { };
${keyStatements.join('\n')}
zone "${DOMAIN}" { type ${zoneType}; file "zone"; ${zoneStatements ?? (grants && `update-policy { ${grants} };`)} };
${more}
`;
}

export class Bind {
  readonly folder: string;
  readonly server: DnsServer;
  readonly #options: BindOptions;
  #serial = 1;
  #child: ChildProcess | undefined;

  private constructor(folder: string, server: DnsServer, options: BindOptions) {
    this.folder = folder;
    this.server = server;
    this.#options = options;
  }

  static async start(options: BindOptions = {}): Promise<Bind> {
    const folder = mkdtempSync(join(tmpdir(), 'docker-router-bind.'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    const server = { address: options.address ?? '127.0.0.1', port: options.port ?? (await freePort()) };
    const bind = new Bind(folder, server, options);
    writeFileSync(join(folder, 'zone'), zoneFile(options.records));
    for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(join(folder, name), text);
    const text = options.configuration?.(folder, server.port) ?? configuration(folder, server, options);
    writeFileSync(join(folder, 'named.conf'), text);
    await bind.up();
    return bind;
  }

  get log(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8');
  }

  /** Starts it, also again: with the zone as it was left. Waits until it answers for the zone with `status`. */
  async up(status: 'NOERROR' | 'SERVFAIL' = 'NOERROR'): Promise<void> {
    const { folder } = this;
    const named = ['named', '-f', '-n', '1', '-c', join(folder, 'named.conf'), '-L', join(folder, 'log')];
    const [program, ...argv] = inside(this.#options.namespace, ['setpriv', '--pdeathsig', 'KILL', ...named]);
    // Debian keeps servers where only root's PATH looks.
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
    const child = spawn(program!, argv, { stdio: 'ignore', env });
    this.#child = child;
    for (let tries = 0; tries < 400; tries++) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`named ended: ${this.log.slice(-500)}`);
      if (this.dig('SOA', DOMAIN, '+comments', '+tries=1', '+time=1').includes(`status: ${status}`)) return;
      await sleep(25);
    }
    throw new Error(`named does not answer: ${this.log.slice(-500)}`);
  }

  /** Ends it; `SIGKILL` by default, which leaves the zone's journal as it is. */
  async down(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    // A stopped process takes no signal but this.
    child.kill('SIGCONT');
    await ended;
  }

  /** Another zone file. */
  write(records: string): void {
    this.#serial += 1;
    writeFileSync(join(this.folder, 'zone'), zoneFile(records, this.#serial));
  }

  /** Another zone file, loaded as an operator does it. */
  async edit(records: string): Promise<void> {
    this.write(records);
    this.#child!.kill('SIGHUP');
    const loaded = new RegExp(`SOA\\s.* ${this.#serial} 3600`);
    for (let tries = 0; tries < 200 && !loaded.test(this.dig('SOA', DOMAIN)); tries++) await sleep(25);
  }

  freeze(): void {
    this.#child!.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child!.kill('SIGCONT');
  }

  async close(): Promise<void> {
    await this.down();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** What Debian's dig says: one line a record, without comments. */
  dig(type: string, name: string, ...options: string[]): string {
    const { address, port } = this.server;
    // As patient as nsupdate: a busy machine may be late, and a datagram can get lost.
    const dig = ['dig', `@${address}`, '-p', String(port), '+noall', '+answer', '+tries=4', '+time=3'];
    const [program, ...argv] = inside(this.#options.namespace, [...dig, ...options, type, name]);
    return spawnSync(program!, argv, { encoding: 'utf8' }).stdout;
  }

  /** Changes the zone as a person would, with Debian's nsupdate. */
  nsupdate(lines: readonly string[], key = this.#options.keys?.[0] ?? testKey()): void {
    const input = [
      `server ${this.server.address} ${this.server.port}`,
      `zone ${DOMAIN}`,
      `key ${key.algorithm}:${key.name} ${key.secret.toString('base64')}`,
      ...lines,
      'send',
      '',
    ].join('\n');
    const [program, ...argv] = inside(this.#options.namespace, ['nsupdate']);
    const { status, stderr } = spawnSync(program!, argv, { input, encoding: 'utf8' });
    if (status !== 0) throw new Error(`nsupdate: ${stderr}`);
  }
}
