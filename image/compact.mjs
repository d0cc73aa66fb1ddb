// Loaded before the daemon: gives back the memory that starting up has used and that V8 would keep as a reserve, 2 MB of
// private memory per process. 30 ms of processor each time.
const FIRST_MS = 10_000;
const EVERY_MS = 60_000;
// Knowing thousands of peers takes more, and there a pause would be felt.
const SMALL_HEAP_BYTES = 16_000_000;

function compact() {
  if (process.memoryUsage().heapUsed > SMALL_HEAP_BYTES) return;
  globalThis.gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

setTimeout(compact, FIRST_MS).unref();
setInterval(compact, EVERY_MS).unref();
