/** Discovery by UDP multicast: announce, ask on start, answer, say goodbye. No server, one network. */
import type { MulticastConfig } from '../../config/discovery-config.ts';
import type { StackRecord } from '../../record/record.ts';
import type { Envelope } from '../../trust/envelope.ts';
import type { Parting, Source, SourceEvent } from '../source.ts';
import { GroupSocket } from './group-socket.ts';
import { Heard } from './heard.ts';
import { Losses } from './losses.ts';
import { decodeMessage, encodeMessage, type Message } from './message.ts';
import {
  ANSWER_GAP_MS,
  announceInterval,
  answerDelay,
  jittered,
  lifetime,
  QUERY_AFTER_MS,
  REPEAT_AFTER_MS,
} from './timing.ts';

/** How often a socket that failed or whose address moved is opened again. */
const REOPEN_MS = 2000;
/** How often the kernel is asked whether it had to drop datagrams. */
const LOSSES_MS = 1000;
/** A sender heard within this many intervals counts towards the size of the group. */
const COUNT_WINDOW = 3;

export class MulticastSource implements Source {
  readonly name = 'multicast';
  readonly #config: MulticastConfig;
  readonly #peerTimeoutMs: number;
  readonly #envelope: Envelope | undefined;
  readonly #announcements = new Heard();
  readonly #timers = new Set<NodeJS.Timeout>();
  #emit: (event: SourceEvent) => void = () => undefined;
  #record: StackRecord | undefined;
  #socket: GroupSocket | undefined;
  #periodic: NodeJS.Timeout | undefined;
  #listening: NodeJS.Timeout | undefined;
  #answer: NodeJS.Timeout | undefined;
  #lastSent = Number.NEGATIVE_INFINITY;
  #running = false;
  #opening = false;
  /** Something came since the kernel was last asked what it had to drop. */
  #received = false;
  /** Senders heard in this and in the last counting window: how many share the group. */
  #heard = new Set<string>();
  #heardBefore = 0;
  #windowEnds = 0;

  constructor(config: MulticastConfig, peerTimeoutMs: number, envelope?: Envelope) {
    this.#config = config;
    this.#peerTimeoutMs = peerTimeoutMs;
    this.#envelope = envelope;
  }

  start(emit: (event: SourceEvent) => void): void {
    this.#emit = emit;
    this.#running = true;
    void this.#open();
  }

  publish(record: StackRecord): void {
    const moved = this.#record !== undefined && this.#record.host_ip !== record.host_ip;
    this.#record = record;
    if (!this.#running) return;
    if (moved) this.#reopen();
    else if (!this.#socket) void this.#open();
    else this.#announceChange();
  }

  async stop(how: Parting = 'goodbye'): Promise<void> {
    this.#running = false;
    for (const timer of this.#timers) clearTimeout(timer);
    clearTimeout(this.#periodic);
    clearTimeout(this.#answer);
    clearInterval(this.#listening);
    if (how === 'goodbye' && this.#record && this.#socket) {
      const { stack_id, instance, boot, seq } = this.#record;
      const goodbye = { docker_router: 1, type: 'goodbye', stack_id, instance, boot, seq } as const;
      // Twice, a moment apart: nobody asks for a goodbye that got lost.
      await this.#socket.send(encodeMessage(goodbye, this.#envelope)).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await this.#socket.send(encodeMessage(goodbye, this.#envelope)).catch(() => undefined);
    }
    this.#socket?.close();
    this.#socket = undefined;
  }

  async #open(): Promise<void> {
    const record = this.#record;
    if (!record || this.#opening || this.#socket) return;
    this.#opening = true;
    try {
      const socket = await GroupSocket.open(this.#config, record.host_ip, {
        datagram: (bytes, from) => this.#receive(bytes, from),
        failed: (message) => {
          this.#emit({ type: 'state', ok: false, message });
          this.#reopen();
        },
      });
      if (!this.#running) return socket.close();
      this.#socket = socket;
      this.#watchLosses();
      this.#emit({ type: 'state', ok: true, message: `on ${socket.interfaceName} (${record.host_ip})` });
      for (const delay of QUERY_AFTER_MS) this.#later(delay, () => this.#query());
      this.#announceChange();
    } catch (cause) {
      this.#emit({ type: 'state', ok: false, message: (cause as Error).message });
      this.#later(REOPEN_MS, () => void this.#open());
    } finally {
      this.#opening = false;
    }
  }

  /** Under a flood the announcements of the others are lost with the rest. */
  #watchLosses(): void {
    clearInterval(this.#listening);
    const losses = new Losses(this.#config.port);
    let lookedAt = performance.now();
    this.#listening = setInterval(() => {
      const from = lookedAt;
      lookedAt = performance.now();
      // A queue from which nothing came was not full, unless nobody was there to read: then this turn is late.
      const idle = !this.#received && lookedAt - from < 2 * LOSSES_MS;
      this.#received = false;
      const lost = idle ? 0 : losses.fresh();
      if (lost === 0) return;
      const message = `${lost} datagrams came faster than they can be read and were lost; meanwhile nobody is given up for being silent`;
      this.#emit({ type: 'deaf', forMs: lookedAt - from, message });
    }, LOSSES_MS);
  }

  #reopen(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#later(this.#lastSent === Number.NEGATIVE_INFINITY ? REOPEN_MS : 0, () => void this.#open());
  }

  #later(delayMs: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#running) action();
    }, delayMs);
    this.#timers.add(timer);
  }

  #query(): void {
    if (!this.#record) return;
    const { stack_id, instance } = this.#record;
    this.#send({ docker_router: 1, type: 'query', stack_id, instance });
  }

  #announceChange(): void {
    this.#announce();
    for (const delay of REPEAT_AFTER_MS) this.#later(jittered(delay, Math.random()), () => this.#announce());
  }

  #announce(): void {
    if (!this.#record) return;
    clearTimeout(this.#periodic);
    const intervalMs = announceInterval(this.#config.announceIntervalMs, this.#groupSize());
    this.#periodic = setTimeout(() => this.#announce(), jittered(intervalMs, Math.random()));
    this.#lastSent = performance.now();
    this.#send({ docker_router: 1, type: 'announce', interval_ms: intervalMs, record: this.#record });
  }

  #send(message: Message): void {
    this.#socket?.send(encodeMessage(message, this.#envelope)).catch((cause: Error) => {
      this.#emit({ type: 'state', ok: false, message: `cannot send to ${this.#config.group}: ${cause.message}` });
      this.#reopen();
    });
  }

  #receive(datagram: Buffer, from: string): void {
    this.#received = true;
    // The socket stays open for the goodbyes: an answer scheduled meanwhile would go on announcing for ever.
    if (!this.#running) return;
    // An envelope is for one time only, and is opened each time.
    const decoded = this.#envelope ? decodeMessage(datagram, this.#envelope) : this.#announcements.decode(datagram);
    if (!decoded.ok) {
      if (decoded.kind === 'own') return;
      return this.#emit({
        type: 'dropped',
        kind: `${decoded.kind} datagram`,
        message: `from ${from}: ${decoded.error}`,
      });
    }
    const message = decoded.value;
    const sender = message.type === 'announce' ? message.record : message;
    // Everyone hears its own datagrams too (IP_MULTICAST_LOOP, needed for the other stacks of this host).
    if (sender.stack_id === this.#record?.stack_id && sender.instance === this.#record.instance) return;
    if (message.type === 'query') return this.#scheduleAnswer();
    if (message.type === 'goodbye') return this.#emit({ type: 'remove', gone: message });
    if (this.#heard.size < 20_000) this.#heard.add(sender.stack_id);
    this.#emit({
      type: 'upsert',
      record: message.record,
      lifetime: lifetime(message.interval_ms, this.#peerTimeoutMs),
    });
  }

  #scheduleAnswer(): void {
    if (this.#answer) return;
    const rested = Math.max(0, this.#lastSent + ANSWER_GAP_MS - performance.now());
    this.#answer = setTimeout(() => {
      this.#answer = undefined;
      this.#announce();
    }, rested + answerDelay(this.#groupSize(), Math.random()));
  }

  #groupSize(): number {
    const now = performance.now();
    if (now >= this.#windowEnds) {
      this.#heardBefore = this.#heard.size;
      this.#heard = new Set();
      this.#announcements.turn();
      this.#windowEnds = now + COUNT_WINDOW * announceInterval(this.#config.announceIntervalMs, this.#heardBefore);
    }
    return Math.max(this.#heard.size, this.#heardBefore) + 1;
  }
}
