/** Sees changes in the router's kernel tables at the moment they are made: netlink notifications by way of `ip monitor`. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { inRouter } from './namespaces.ts';

export class RouteMonitor {
  readonly #child;
  readonly #waiting = new Map<string, (at: number) => void>();
  readonly #seen = new Map<string, number>();

  constructor() {
    const [program, ...args] = inRouter('stdbuf', '-oL', 'ip', 'monitor', 'route', 'neigh');
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#line(line));
  }

  /** When the first line that begins with `start` since the last `forget` appeared. */
  seen(start: string, withinMs = 10_000): Promise<number> {
    const before = this.#seen.get(start);
    if (before !== undefined) return Promise.resolve(before);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no "${start}" in the router's kernel`)), withinMs);
      this.#waiting.set(start, (at) => {
        clearTimeout(timer);
        resolve(at);
      });
    });
  }

  forget(): void {
    this.#seen.clear();
  }

  stop(): void {
    this.#child.kill();
  }

  #line(line: string): void {
    const at = performance.now();
    const start = line.split(' ')[0]!;
    if (!this.#seen.has(start)) this.#seen.set(start, at);
    this.#waiting.get(start)?.(at);
    this.#waiting.delete(start);
  }
}
