/** Asks the other stacks' routers through the tunnel whether they are there, and answers those that ask. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { Clock } from '../process/clock.ts';
import { randomHex } from '../process/random.ts';
import { decodeProbe, encodeProbe, PROBE_PORT } from './message.ts';
import { type Answer, probeInterval, type Reach, UNPROBED, withResult } from './reach.ts';

/** An answer that takes longer counts as none. */
const ANSWER_MS = 2000;
/** Newcomers beyond these are asked in their turn. */
const AT_ONCE = 50;
/** A moment for the other router to have its routes too. */
const FIRST_MS = 300;

export interface Target {
  readonly stack_id: string;
  readonly gateway_ip: string;
}

interface Row {
  readonly target: Target;
  reach: Reach;
  asked: { readonly nonce: string; readonly at: number; readonly timer: NodeJS.Timeout } | undefined;
}

export class Prober {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  readonly #onError: (message: string) => void;
  readonly #rows = new Map<string, Row>();
  #queue: string[] = [];
  #address: string | undefined;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param intervalMs between two questions to one peer
   * @param onError told, in words, when the socket cannot be used; the next `watch` tries again
   */
  constructor(intervalMs: number, clock: Clock, onError: (message: string) => void) {
    this.#intervalMs = intervalMs;
    this.#clock = clock;
    this.#onError = onError;
  }

  /** From now on these are asked, and answered, from `address`. Cheap when nothing changed. */
  watch(address: string | undefined, targets: readonly Target[]): void {
    if (address !== this.#address || (address !== undefined && !this.#socket)) this.#listen(address);
    const wanted = new Map(targets.map((target) => [target.gateway_ip, target]));
    for (const [gateway, row] of this.#rows) {
      if (wanted.get(gateway)?.stack_id === row.target.stack_id) continue;
      clearTimeout(row.asked?.timer);
      this.#rows.delete(gateway);
    }
    const newcomers = targets.filter(({ gateway_ip }) => !this.#rows.has(gateway_ip));
    for (const target of newcomers) this.#rows.set(target.gateway_ip, { target, reach: UNPROBED, asked: undefined });
    for (const { gateway_ip } of newcomers.slice(0, AT_ONCE)) setTimeout(() => this.#ask(gateway_ip), FIRST_MS).unref();
    this.#schedule();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.watch(undefined, []);
  }

  /** By stack id. */
  reaches(): Map<string, Reach> {
    return new Map([...this.#rows.values()].map(({ target, reach }) => [target.stack_id, reach]));
  }

  #listen(address: string | undefined): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#address = address;
    if (address === undefined) return;
    const socket = createSocket('udp4');
    socket.on('error', (cause) => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      socket.close();
      this.#onError(`other routers cannot be probed from ${address}: ${cause.message}`);
    });
    socket.on('message', (bytes, from) => this.#receive(bytes, from));
    socket.bind(PROBE_PORT, address);
    this.#socket = socket;
  }

  /** One peer a turn, in a circle. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#rows.size === 0) return;
    this.#timer = setTimeout(() => {
      if (this.#queue.length === 0) this.#queue = [...this.#rows.keys()].reverse();
      const next = this.#queue.pop();
      if (next !== undefined) this.#ask(next);
      this.#schedule();
    }, probeInterval(this.#intervalMs, this.#rows.size) / this.#rows.size);
    this.#timer.unref();
  }

  #ask(gateway: string): void {
    const row = this.#rows.get(gateway);
    if (!row || row.asked || !this.#socket) return;
    const nonce = randomHex(8);
    const timer = setTimeout(() => this.#settle(row, undefined), ANSWER_MS);
    timer.unref();
    row.asked = { nonce, at: this.#clock.monotonic(), timer };
    // An unreachable network is an answer that does not come.
    this.#socket.send(
      encodeProbe({ kind: 'question', nonce, wallMs: this.#clock.wall() }),
      PROBE_PORT,
      gateway,
      () => undefined,
    );
  }

  /** Only routers that are routed to are answered and believed. */
  #receive(bytes: Buffer, from: RemoteInfo): void {
    const row = this.#rows.get(from.address);
    const message = row && decodeProbe(bytes);
    if (!row || !message) return;
    if (message.kind === 'question') {
      const answer = encodeProbe({ ...message, kind: 'answer', wallMs: this.#clock.wall() }, bytes.length);
      this.#socket?.send(answer, from.port, from.address, () => undefined);
    } else if (row.asked?.nonce === message.nonce) {
      const roundTripMs = this.#clock.monotonic() - row.asked.at;
      const offset = message.wallMs - (this.#clock.wall() - roundTripMs / 2);
      this.#settle(row, { roundTripMs, clockOffsetMs: offset });
    }
  }

  #settle(row: Row, answer: Answer | undefined): void {
    clearTimeout(row.asked?.timer);
    row.asked = undefined;
    row.reach = withResult(row.reach, answer, this.#clock.wall());
  }
}
