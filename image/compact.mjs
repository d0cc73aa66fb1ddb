import { setFlagsFromString } from 'node:v8';

// V8's baseline compiler makes machine code of everything that has run a few times, 1 MB in the two daemons together. What is really
// hot, as with thousands of peers, the optimizing compiler still takes. Set here, since a flag that a later V8 has no more is then
// a line on standard error instead of a Node.js that does not start.
setFlagsFromString('--no-sparkplug');

// Loaded before the daemon: gives back the memory that starting up has used and that V8 would keep as a reserve, 2 MB of
// private memory per process. 30 ms of processor each time.
const FIRST_MS = 10_000;
const EVERY_MS = 300_000;
// Knowing thousands of peers takes more, and there a pause would be felt.
const SMALL_HEAP_BYTES = 16_000_000;

function compact() {
  if (process.memoryUsage().heapUsed > SMALL_HEAP_BYTES) return;
  globalThis.gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

setTimeout(compact, FIRST_MS).unref();
setInterval(compact, EVERY_MS).unref();
