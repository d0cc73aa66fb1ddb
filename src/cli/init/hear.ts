/** Which stacks can be heard from this host: asks as a newcomer would, announces nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { defaultSourceAddress } from '../../discovery/host.ts';
import { randomHex } from '../../process/random.ts';
import type { StackRecord } from '../../record/record.ts';
import { GroupSocket } from '../../sources/multicast/group-socket.ts';
import { decodeMessage, encodeMessage } from '../../sources/multicast/message.ts';

export interface Heard {
  readonly stacks: ReadonlyMap<string, StackRecord>;
  /** Datagrams that could not be read: another version, or sealed with a key. */
  readonly unread: number;
  /** Why nothing could be heard. */
  readonly trouble?: string;
}

export interface Group {
  readonly group: string;
  readonly port: number;
}

/** Asked twice, since a datagram may get lost. */
const ASK_MS = [0, 400];
const MAX_STACKS = 20_000;

/** Listens for `ms`; goes on, up to three times as long, while new stacks are still answering. Never throws. */
export async function hear({ group, port }: Group, ms: number): Promise<Heard> {
  const stacks = new Map<string, StackRecord>();
  let unread = 0;
  let lastNew = performance.now();
  const datagram = (bytes: Buffer) => {
    const message = decodeMessage(bytes);
    if (!message.ok) unread += 1;
    else if (message.value.type === 'announce' && stacks.size < MAX_STACKS) {
      const { record } = message.value;
      const key = `${record.stack_id} ${record.instance}`;
      if (!stacks.has(key)) lastNew = performance.now();
      stacks.set(key, record);
    }
  };
  const address = await defaultSourceAddress();
  if (!address) return { stacks, unread, trouble: 'this host has no default route' };
  let socket: GroupSocket;
  try {
    const config = { group, port, ttl: 1, announceIntervalMs: 30_000 };
    socket = await GroupSocket.open(config, address, { datagram, failed: () => undefined });
  } catch (cause) {
    return { stacks, unread, trouble: (cause as Error).message };
  }
  // No record goes with a query, so that nobody takes this for a stack.
  const query = encodeMessage({ docker_router: 1, type: 'query', stack_id: 'init', instance: randomHex(8) });
  const began = performance.now();
  for (const [index, at] of ASK_MS.entries()) {
    if (index > 0) await sleep(at);
    await socket.send(query).catch(() => undefined);
  }
  const quiet = () => performance.now() - Math.max(began, lastNew) >= ms;
  while (!quiet() && performance.now() - began < 3 * ms) await sleep(50);
  socket.close();
  return { stacks, unread };
}
