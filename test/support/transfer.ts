/** One long TCP transfer between the services of two stacks, and the longest silence in it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { inHost, ok } from './lab.ts';
import { addressOf, container, execIn, inContainer, type Stack } from './stacks.ts';

const PORT = 9000;
/** Neither side outlives an interrupted test for long. */
const AT_MOST = ['timeout', '120'];

export interface Transfer {
  /** Milliseconds, on the receiver's monotonic clock. */
  readonly longestSilence: number;
  readonly bytes: number;
}

const serve = (piece: string) => `require('net').createServer((c) => {
  const t = setInterval(() => c.write('${piece}'.repeat(40)), 10);
  c.on('close', () => clearInterval(t)); c.on('error', () => {}); }).listen(${PORT}, () => console.log('listens'));`;

const read = (
  address: string,
) => `const s = require('net').connect(${PORT}, '${address}'); let last = 0, worst = 0, bytes = 0;
  s.on('data', (d) => { const now = performance.now(); if (last) worst = Math.max(worst, now - last); last = now; bytes += d.length; });
  s.on('error', (e) => { console.log(e.code); process.exit(1); }); s.on('end', () => { console.log('ended'); process.exit(1); });
  process.on('SIGUSR2', () => { console.log(Math.round(Math.max(worst, performance.now() - last)), bytes); process.exit(0); });`;

/**
 * A hundred pieces a second from `to` to `from` on one connection, for as long as `during` takes.
 * @throws when the connection is refused, reset or ends early.
 */
export async function transfer(
  from: Stack,
  to: Stack,
  piece: string,
  during: () => Promise<unknown>,
): Promise<Transfer> {
  const inside = (stack: Stack) => ['docker', 'exec', container(stack, stack.service), ...AT_MOST, 'node', '-e'];
  const serving = inHost(to.host, ...inside(to), serve(piece));
  try {
    // Node takes its time to start on a busy machine.
    for (let i = 0; i < 50 && !(await execIn(to, to.service, 'cat', '/proc/net/tcp6')).includes(':2328 '); i += 1)
      await sleep(200);
    const reading = ok(from.host, ...inside(from), read(await addressOf(to)));
    reading.catch(() => undefined);
    await sleep(1000);
    await during();
    await execIn(from, from.service, 'pkill', '-USR2', '-f', '^node -e .*SIGUSR2');
    const [longestSilence, bytes] = (await reading).split(' ').map(Number);
    return { longestSilence: longestSilence!, bytes: bytes! };
  } finally {
    await inContainer(to, to.service, 'pkill', '-f', '^node -e .*createServer');
    await serving;
  }
}
