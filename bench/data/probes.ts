/** Single measurements between two endpoints. */
import { readFileSync } from 'node:fs';
import { ok } from './lab.ts';
import { type Endpoint, REPLY_PORT } from './world.ts';

export interface Flow {
  readonly gigabits: number;
  /** Of the whole machine, for each gigabit that arrived. */
  readonly cpuSecondsPerGigabit: number;
}

interface IperfEnd {
  readonly sum_received?: { readonly bits_per_second: number; readonly bytes: number };
  readonly sum?: { readonly packets: number; readonly lost_packets: number; readonly seconds: number };
}

async function iperf(from: Endpoint, to: Endpoint, seconds: number, ...options: string[]): Promise<IperfEnd> {
  const argv = [...from.enter, 'iperf3', '-c', to.address, '-t', String(seconds), '-J', ...options];
  return (JSON.parse(await ok(from.host, ...argv)) as { end: IperfEnd }).end;
}

/** Seconds that the processors were busy since boot: everything but idle and iowait (proc(5)). */
function busySeconds(): number {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.trim().split(/\s+/).slice(1, 9).map(Number);
  return fields.reduce((sum, ticks, index) => (index === 3 || index === 4 ? sum : sum + ticks), 0) / 100;
}

/** `streams` TCP flows at once. */
export async function tcp(from: Endpoint, to: Endpoint, seconds: number, streams = 1): Promise<Flow> {
  const before = busySeconds();
  const { sum_received: received } = await iperf(from, to, seconds, '-P', String(streams));
  const gigabits = (received!.bytes * 8) / 1e9;
  return { gigabits: received!.bits_per_second / 1e9, cpuSecondsPerGigabit: (busySeconds() - before) / gigabits };
}

/** Packets a second that arrive when as many are sent as the sender can. */
export async function udp(from: Endpoint, to: Endpoint, seconds: number, bytes: number): Promise<number> {
  const { sum } = await iperf(from, to, seconds, '-u', '-b', '0', '-l', String(bytes));
  return (sum!.packets - sum!.lost_packets) / sum!.seconds;
}

export interface Replies {
  readonly perSecond: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
}

export async function replies(from: Endpoint, to: Endpoint, seconds: number): Promise<Replies> {
  const script = '/repo/bench/data/request-response.py';
  const argv = [...from.enter, 'python3', script, 'ask', to.address, String(REPLY_PORT), String(seconds)];
  return JSON.parse(await ok(from.host, ...argv)) as Replies;
}
