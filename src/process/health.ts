/** The health file that the container's health check reads without starting a process of its own. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { ConfigError } from '../config/variables.ts';

export type HealthStatus = 'starting' | 'ok' | 'unhealthy';

/** Rewritten this often, so that a check can tell a hung process from a healthy one. */
const BEAT_MS = 5000;

export class HealthFile {
  readonly #path: string;
  #line: { status: HealthStatus; message: string } = { status: 'starting', message: 'starting' };
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws ConfigError when the folder cannot be written. */
  start(): void {
    try {
      mkdirSync(dirname(this.#path), { recursive: true });
      this.#write();
    } catch (cause) {
      const remedy = 'with read_only: true the service needs tmpfs: ["/run:mode=1777"]';
      throw new ConfigError([
        `the health file ${this.#path} cannot be written (${(cause as Error).message}); ${remedy}`,
      ]);
    }
    this.#timer = setInterval(() => this.#tryWrite(), BEAT_MS);
    this.#timer.unref();
  }

  get current(): { readonly status: HealthStatus; readonly message: string } {
    return this.#line;
  }

  set(status: HealthStatus, message: string): void {
    if (status === this.#line.status && message === this.#line.message) return;
    this.#line = { status, message };
    this.#tryWrite();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tryWrite(): void {
    try {
      this.#write();
    } catch {
      // A full tmpfs: the check sees an old file and says so.
    }
  }

  /** `STATUS UPTIME MESSAGE`: uptime instead of the time of day, which may jump. */
  #write(): void {
    const uptime = readFileSync('/proc/uptime', 'utf8').split('.')[0];
    const text = `${this.#line.status} ${uptime} ${this.#line.message.replaceAll('\n', ' ')}\n`;
    writeFileSync(`${this.#path}.tmp`, text);
    renameSync(`${this.#path}.tmp`, this.#path);
  }
}
