// Loaded before a daemon (node --import): its wall clock is ahead by as many milliseconds as the file MOVED_CLOCK says, read again at SIGUSR2.
// The machine's own clock is everybody's, and Linux has no namespace for it (time_namespaces(7)).
import { readFileSync } from 'node:fs';

const now = Date.now;
let aheadMs = 0;
const read = () => {
  aheadMs = Number(readFileSync(process.env.MOVED_CLOCK, 'utf8'));
};
read();
process.on('SIGUSR2', read);
Date.now = () => now() + aheadMs;
