/** Sources of the tests against a real server: short intervals, and clocks that can be wrong. */
import type { DnsConfig, TsigKey } from '../../src/config/dns-config.ts';
import { type Clock, systemClock } from '../../src/process/clock.ts';
import type { StackRecord } from '../../src/record/record.ts';
import { DnsSource } from '../../src/sources/dns/dns.ts';
import { Stack, until } from '../conformance/lab.ts';
import { record } from '../support/records.ts';
import { type Bind, DOMAIN, testKey } from './bind.ts';

export const SERVICE = `_docker-router._udp.${DOMAIN}`;
export const INTERVAL_MS = 300;
/** Twenty intervals: a stack renews every two seconds, and may be late by four on a busy machine. */
export const PEER_TIMEOUT_MS = 6000;
/** Generous: the machine is shared. */
export const SOON_MS = 15_000;

export interface Changes {
  readonly servers?: DnsConfig['servers'];
  /** `false`: only reads. */
  readonly key?: TsigKey | false;
  readonly clock?: Clock;
  readonly intervalMs?: number;
  readonly peerTimeoutMs?: number;
  readonly record?: Partial<StackRecord>;
}

/** Every wall clock of the machine but this one shows another time. */
export function wrongClock(aheadSeconds: number): Clock {
  return { monotonic: () => systemClock.monotonic(), wall: () => systemClock.wall() + aheadSeconds * 1000 };
}

export function stack(n: number, bind: Bind, changes: Changes = {}): Stack {
  const { servers = [bind.server], key = testKey(), clock, intervalMs = INTERVAL_MS } = changes;
  const update = key ? { server: bind.server, key } : undefined;
  const config = { domain: DOMAIN, servers, update, ttlSeconds: 1, intervalMs };
  const source = new DnsSource(config, changes.peerTimeoutMs ?? PEER_TIMEOUT_MS, clock);
  return new Stack(source, record(n, changes.record));
}

export const ids = (viewer: Stack) =>
  viewer
    .everything()
    .map((known) => known.record.stack_id)
    .join(' ');

/** Message of the last state, good or bad. */
export function lastMessage(viewer: Stack): string {
  const last = viewer.events.findLast((event) => event.type === 'state');
  return last?.type === 'state' ? (last.message ?? '') : '';
}

/** Waits until the viewer sees exactly these stacks, by their ids with a space between. */
export async function sees(viewer: Stack, wanted: string, withinMs = SOON_MS): Promise<void> {
  const seen = () => [ids(viewer), viewer.events.slice(-3)];
  await until(() => ids(viewer) === wanted, withinMs, `sees "${wanted}"`, seen);
}

/** Waits until the message of its last state is of these words. */
export async function says(one: Stack, words: RegExp, what = String(words)): Promise<void> {
  await until(
    () => words.test(lastMessage(one)),
    SOON_MS,
    what,
    () => one.events.slice(-3),
  );
}
