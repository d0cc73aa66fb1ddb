/** The discovery daemon as a process, with its volume in a temporary folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DiscoveryFile, PeerEntry } from '../../src/state/discovery-file.ts';
import { until } from '../conformance/lab.ts';
import { removeAtExit } from './server.ts';

const MAIN = fileURLToPath(new URL('../../src/discovery/main.ts', import.meta.url));

export class DaemonProcess {
  readonly #folder = mkdtempSync(join(tmpdir(), 'docker-router-daemon-'));
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;
  #ended: Promise<number | null> = Promise.resolve(null);
  log = '';

  /** Node's arguments; the sources unless told otherwise. */
  readonly #program: readonly string[];

  constructor(stackId: string, env: NodeJS.ProcessEnv, program = ['--import', 'tsx', MAIN]) {
    this.#program = program;
    const fixed = {
      STACK_ID: stackId,
      VNI: '1000',
      STATE_DIR: this.#folder,
      HEALTH_FILE: join(this.#folder, 'health'),
    };
    this.#env = { PATH: process.env.PATH, ...fixed, ...env };
    removeAtExit(this.#folder);
  }

  start(): this {
    const argv = ['--pdeathsig', 'KILL', process.execPath, ...this.#program];
    this.#child = spawn('setpriv', argv, { stdio: ['ignore', 'ignore', 'pipe'], env: this.#env });
    this.#ended = once(this.#child, 'exit').then(([code]) => code as number | null);
    this.#child.stderr!.on('data', (chunk) => {
      this.log += chunk;
    });
    return this;
  }

  /** Exit status, once it has ended by itself; null when a signal ended it. */
  async ended(): Promise<number | null> {
    return await this.#ended;
  }

  /** Ends it with SIGTERM and returns its exit status. */
  async stop(): Promise<number | null> {
    this.#child?.kill('SIGTERM');
    return await this.#ended;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  get file(): DiscoveryFile | undefined {
    return this.#read('discovery.json', (text) => JSON.parse(text) as DiscoveryFile);
  }

  /** `STATUS MESSAGE` */
  get health(): string {
    return this.#read('health', (text) => text.replace(/ \d+ /, ' ').trim()) ?? 'none';
  }

  peer(stackId: string): PeerEntry | undefined {
    return this.file?.peers.find(({ stack_id }) => stack_id === stackId);
  }

  /** Plays the router: writes router.json. */
  writeRouter(content: object): void {
    writeFileSync(join(this.#folder, 'router.json'), JSON.stringify(content));
  }

  async until(what: string, holds: () => boolean, withinMs = 20_000): Promise<void> {
    const seen = () => ({ health: this.health, file: this.file, log: this.log.split('\n').slice(-8) });
    await until(holds, withinMs, what, seen);
  }

  #read<T>(name: string, parse: (text: string) => T): T | undefined {
    try {
      return parse(readFileSync(join(this.#folder, name), 'utf8'));
    } catch {
      return undefined;
    }
  }
}
