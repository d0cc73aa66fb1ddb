/** One long TCP transfer between the services of two stacks, and the longest silence in it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { inHost, ok } from './lab.ts';
import { addressOf, container, execIn, inContainer, type Stack } from './stacks.ts';

const PORT = 9000;
/** Neither side outlives an interrupted test for long. */
const AT_MOST = ['timeout', '120'];

export interface Transfer {
  /** Milliseconds without a byte, on the receiver's monotonic clock, less those in which sender or receiver had no turn themselves. */
  readonly longestSilence: number;
  /** The same, with the turns that they did not get. */
  readonly longestGap: number;
  readonly bytes: number;
}

/** Each piece says how long its sender had not come to send: what it did not send cannot be missed on the way. */
const serve = (piece: string) => `require('net').createServer((c) => {
  let sent = performance.now();
  const t = setInterval(() => { const now = performance.now(); c.write('${piece}'.repeat(40) + '<' + Math.round(now - sent) + '>'); sent = now; }, 10);
  c.on('close', () => clearInterval(t)); c.on('error', () => {}); }).listen(${PORT}, () => console.log('listens'));`;

const read = (
  address: string,
) => `const s = require('net').connect(${PORT}, '${address}'); let last = 0, worst = 0, gap = 0, bytes = 0, rest = '';
  let tick = performance.now(), late = 0;
  const turn = () => { const now = performance.now(); late = Math.max(late, now - tick); tick = now; };
  setInterval(turn, 10);
  const heard = (text) => { turn(); const now = performance.now(); rest += text;
    const pauses = [...rest.matchAll(/<(\\d+)>/g)].map((m) => Number(m[1]));
    rest = rest.slice(rest.lastIndexOf('>') + 1);
    const silent = last ? now - last : 0;
    worst = Math.max(worst, silent - Math.max(0, late - 10, ...pauses.map((p) => p - 10))); gap = Math.max(gap, silent);
    last = now; late = 0; };
  s.on('data', (d) => { bytes += d.length; heard(d.toString('latin1')); });
  s.on('error', (e) => { console.log(e.code); process.exit(1); }); s.on('end', () => { console.log('ended'); process.exit(1); });
  process.on('SIGUSR2', () => { heard(''); console.log(Math.round(worst), Math.round(gap), bytes); process.exit(0); });`;

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
    const [longestSilence, longestGap, bytes] = (await reading).split(' ').map(Number);
    return { longestSilence: longestSilence!, longestGap: longestGap!, bytes: bytes! };
  } finally {
    await inContainer(to, to.service, 'pkill', '-f', '^node -e .*createServer');
    await serving;
  }
}
