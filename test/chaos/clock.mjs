// Loaded before a daemon (NODE_OPTIONS): its wall clock goes wrong by as many seconds as the file says. A network namespace has no clock of its own,
// and moving the machine's would hit everything else on it. What a program of JavaScript sees of CLOCK_REALTIME is Date; the daemons' timeouts and
// all timers of Node.js go by the monotonic clock, which does not jump on a real host either.
import { readFileSync } from 'node:fs';

const FILE = '/chaos-clock/offset';
const LOOK_MS = 50;
const Real = Date;
let offsetMs = 0;
let lookedAt = Number.NEGATIVE_INFINITY;

function wrongNow() {
  const now = performance.now();
  if (now - lookedAt > LOOK_MS) {
    lookedAt = now;
    try {
      offsetMs = 1000 * Number(readFileSync(FILE, 'utf8')) || 0;
    } catch {
      offsetMs = 0;
    }
  }
  return Real.now() + offsetMs;
}

globalThis.Date = new Proxy(Real, {
  construct: (target, words) => (words.length > 0 ? new target(...words) : new target(wrongNow())),
  apply: (target) => new target(wrongNow()).toString(),
  get: (target, key) => (key === 'now' ? wrongNow : Reflect.get(target, key)),
});
