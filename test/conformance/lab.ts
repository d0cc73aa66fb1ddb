/** The stacks of one conformance case: a real source each, and the table that it fills. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { PeerTable } from '../../src/peers/table.ts';
import { type Identity, isNewer, type StackRecord } from '../../src/record/record.ts';
import type { Source, SourceEvent } from '../../src/sources/source.ts';
import { record } from '../support/records.ts';
import type { Doomed, Harness } from './harness.ts';

const STACKS_A_CASE = 40;

/** Waits until `holds`, looking every 10 ms. Fails with what `seen` says when it never does. */
export async function until(holds: () => boolean, withinMs: number, what: string, seen: () => unknown): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!holds()) {
    if (performance.now() > deadline)
      assert.fail(`${what}: not within ${withinMs} ms; seen instead: ${JSON.stringify(seen())}`);
    await sleep(10);
  }
}

/** A source and its peer table, fed as the daemon feeds it. */
export class Stack {
  readonly source: Source;
  readonly events: SourceEvent[] = [];
  readonly #table = new PeerTable();
  record: StackRecord;

  constructor(source: Source, record: StackRecord) {
    this.source = source;
    this.record = record;
  }

  start(): this {
    this.source.start((event) => this.#take(event));
    return this;
  }

  publish(record: StackRecord = this.record): this {
    this.record = record;
    this.source.publish(record);
    return this;
  }

  /** Publishes a changed record, with the next sequence number as the daemon gives it. */
  change(changes: Partial<StackRecord>): StackRecord {
    this.publish({ ...this.record, ...changes, seq: this.record.seq + 1 });
    return this.record;
  }

  #take(event: SourceEvent): void {
    this.events.push(event);
    const now = performance.now();
    if (event.type === 'upsert') this.#table.upsert(this.source.name, event.record, now, event.lifetime);
    else if (event.type === 'remove') this.#table.remove(this.source.name, event.gone, now, event.fadeMs);
    else if (event.type === 'snapshot')
      this.#table.snapshot(this.source.name, event.records, now, event.lifetime, event.fadeMs);
    else if (event.type === 'state') this.#table.setReachable(this.source.name, event.ok || event.seeing === true, now);
  }

  /** All that the table holds now, whatever case it is from. */
  everything(): readonly { readonly record: StackRecord; readonly stale: boolean }[] {
    const now = performance.now();
    this.#table.expire(now);
    return this.#table.view(now);
  }

  /** The last `state` event's ok; undefined before the first. */
  get works(): boolean | undefined {
    return this.events.findLast((event) => event.type === 'state')?.ok;
  }

  /** The last message of a failing state. */
  get trouble(): string | undefined {
    const last = this.events.findLast((event) => event.type === 'state');
    return last?.ok === false ? last.message : undefined;
  }

  /** Everyone whom an event has named so far. */
  get named(): Identity[] {
    return this.events.flatMap((event): Identity[] => {
      if (event.type === 'upsert') return [event.record];
      if (event.type === 'remove') return [event.gone];
      return event.type === 'snapshot' ? [...event.records] : [];
    });
  }

  has(record: StackRecord): boolean {
    const rows = this.everything().map((known) => known.record);
    return rows.some((row) => row.instance === record.instance && !isNewer(row, record) && !isNewer(record, row));
  }
}

export class Lab {
  readonly harness: Harness;
  readonly #prefix: string;
  readonly #offset: number;
  readonly #stacks = new Set<Stack>();
  readonly #processes: Doomed[] = [];

  constructor(harness: Harness, index: number) {
    this.harness = harness;
    this.#prefix = `case${index + 1}-`;
    this.#offset = index * STACKS_A_CASE;
  }

  /** Record n of this case, complete and unlike any other. */
  record(n: number, changes: Partial<StackRecord> = {}): StackRecord {
    const stack_id = changes.stack_id ?? `${this.#prefix}${n}`;
    const vxlan_port = 5000 + this.#offset + n;
    return record(this.#offset + n, { host_ip: this.harness.hostIp, vxlan_port, ...changes, stack_id });
  }

  /** A stack that does nothing yet. */
  create(record: StackRecord): Stack {
    const stack = new Stack(this.harness.create(record), record);
    this.#stacks.add(stack);
    return stack;
  }

  /** A stack that announces itself. */
  run(record: StackRecord): Stack {
    return this.create(record).publish().start();
  }

  /** Stacks `from` to `to`, all started at once. */
  runAll(from: number, to: number): Stack[] {
    return Array.from({ length: to - from + 1 }, (_, i) => this.run(this.record(from + i)));
  }

  async spawn(record: StackRecord): Promise<Doomed> {
    const process = await this.harness.spawn(record);
    this.#processes.push(process);
    return process;
  }

  async stop(stack: Stack): Promise<number> {
    this.#stacks.delete(stack);
    const begin = performance.now();
    await stack.source.stop();
    return performance.now() - begin;
  }

  /** What `stack` sees of this case. */
  seenBy(stack: Stack): StackRecord[] {
    return stack
      .everything()
      .map((known) => known.record)
      .filter(({ stack_id }) => stack_id.startsWith(this.#prefix));
  }

  /** Waits until `viewer` sees exactly the stacks of this case that are given, in the very record given. */
  async sees(viewer: Stack, others: readonly StackRecord[], withinMs = this.harness.within.seen): Promise<void> {
    const complete = () => this.seenBy(viewer).length === others.length && others.every((other) => viewer.has(other));
    const ids = others.map(({ stack_id, seq }) => `${stack_id} seq ${seq}`).join(', ') || 'nobody';
    const seen = () => ({
      table: this.seenBy(viewer).map(({ stack_id, instance, boot, seq }) => [stack_id, instance, boot, seq]),
      lastEvents: viewer.events.slice(-4),
    });
    await until(complete, withinMs, `${viewer.record.stack_id} sees ${ids}`, seen);
  }

  /** Waits until each of `stacks` sees all the others of them and nobody else. */
  async complete(stacks: readonly Stack[]): Promise<void> {
    await Promise.all(
      stacks.map((viewer) =>
        this.sees(
          viewer,
          stacks.filter((other) => other !== viewer).map((other) => other.record),
        ),
      ),
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#stacks].map((stack) => stack.source.stop()));
    await Promise.all(this.#processes.map((process) => process.kill()));
  }
}
