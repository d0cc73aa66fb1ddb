/** Simulated stacks: real datagrams from a socket in another namespace, as many senders as wanted behind it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { StackRecord } from '../../src/record/record.ts';
import { inSender } from './namespaces.ts';

const PROGRAM = fileURLToPath(new URL('sender-main.ts', import.meta.url));

export type Order =
  /** Announces `count` stacks from number `first` on, `perSecond` of them a second, once. */
  | {
      readonly kind: 'once';
      readonly first: number;
      readonly count: number;
      readonly perSecond: number;
      readonly intervalMs: number;
    }
  /** One record, now. */
  | { readonly kind: 'record'; readonly record: StackRecord; readonly intervalMs: number }
  /** `count` stacks that announce for ever by the protocol's own timing. */
  | { readonly kind: 'steady'; readonly count: number; readonly configuredMs: number };

export class Sender {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(): Promise<Sender> {
    const [program, ...args] = inSender(process.execPath, '--import', 'tsx', PROGRAM);
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'message');
    return new Sender(child);
  }

  /** Resolves when all of it is sent; for `steady` when it has begun. The value is the moment the last datagram was handed to the kernel. */
  async send(order: Order): Promise<number> {
    const answer = once(this.#child, 'message');
    this.#child.send(order);
    const [wall] = (await answer) as [number];
    return wall - performance.timeOrigin;
  }

  stop(): void {
    this.#child.kill();
  }
}
