/** Stacks on a real etcd, as the tests of this folder watch them. */

import type { EtcdConfig } from '../../src/config/etcd-config.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { EtcdSource } from '../../src/sources/etcd/etcd.ts';
import { Stack, until } from '../conformance/lab.ts';
import { record } from '../support/records.ts';

export { until } from '../conformance/lab.ts';

/** Stacks that are stopped together at the end of a test. */
export class Stacks {
  readonly #all: Stack[] = [];

  run(config: EtcdConfig, n: number, changes: Partial<StackRecord> = {}): Stack {
    const stack = new Stack(new EtcdSource(config), record(n, changes)).publish().start();
    this.#all.push(stack);
    return stack;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.splice(0).map(({ source }) => source.stop()));
  }
}

const TEN_SECONDS = 10_000;

export async function works(stack: Stack, withinMs = TEN_SECONDS): Promise<void> {
  await until(
    () => stack.works === true,
    withinMs,
    `${stack.record.stack_id} works`,
    () => stack.events.slice(-4),
  );
}

/** Waits for a failing state whose message matches, and returns that message. */
export async function fails(stack: Stack, pattern: RegExp, withinMs = TEN_SECONDS): Promise<string> {
  const matches = () => pattern.test(stack.trouble ?? '');
  await until(matches, withinMs, `${stack.record.stack_id} says ${pattern}`, () => stack.events.slice(-4));
  return stack.trouble!;
}

/** Waits until `viewer` has exactly these peers, none of them stale. */
export async function sees(viewer: Stack, others: readonly Stack[], withinMs = TEN_SECONDS): Promise<void> {
  const complete = () => {
    const known = viewer.everything();
    const fresh = known.every(({ stale }) => !stale);
    return fresh && known.length === others.length && others.every((other) => viewer.has(other.record));
  };
  const seen = () => [
    viewer.everything().map(({ record: { stack_id, seq }, stale }) => [stack_id, seq, stale]),
    viewer.events.slice(-3),
  ];
  await until(complete, withinMs, `${viewer.record.stack_id} sees ${others.map((o) => o.record.stack_id)}`, seen);
}

/** Looks every 10 ms whether `viewer` still knows all of `others`, whatever their state; `losses` says who was ever missing. */
export function watchForLosses(
  viewer: Stack,
  others: readonly Stack[],
): { readonly losses: ReadonlySet<string>; stop(): void } {
  const losses = new Set<string>();
  const timer = setInterval(() => {
    const known = new Set(viewer.everything().map(({ record: { instance } }) => instance));
    for (const { record } of others) if (!known.has(record.instance)) losses.add(record.stack_id);
  }, 10);
  return { losses, stop: () => clearInterval(timer) };
}

/** Messages of all failing states so far, but for those of members that a busy machine kept from answering. */
export function troubles(stack: Stack): string[] {
  const messages = stack.events.flatMap((event) => (event.type === 'state' && !event.ok ? [event.message] : []));
  return messages.filter((message) => !/no answer in time/.test(message));
}
