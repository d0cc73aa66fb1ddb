// Loaded before a daemon (NODE_OPTIONS): says how many timers it has set, every few seconds, for a soak to see whether they become more.
// The kernel cannot tell: Node.js has one timer of the kernel's for all of its own.
import { writeFileSync } from 'node:fs';

const FILE = '/dev/shm/timers';
const EVERY_MS = 5000;

function tell() {
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  try {
    writeFileSync(FILE, `${timers}\n`);
  } catch {
    // What cannot be read is no sample, and that is a violation of the soak's own.
  }
}

// unref: it is not one of those that it counts, and keeps nothing running.
setInterval(tell, EVERY_MS).unref();
