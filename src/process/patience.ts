/** Waiting for something that goes on beside this process, on the same host. */
import { setTimeout as sleep } from 'node:timers/promises';

const TURN_MS = 100;

/**
 * Resolves after `ms` milliseconds of which this process got its turns, to within 100. Where a deadline would be over after a moment in which the whole
 * host stood still, this goes on waiting: what is waited for stood still as well.
 * @param enough looked at in between: ends it early
 */
export async function patience(ms: number, enough: () => boolean = () => false): Promise<void> {
  for (let waited = 0; waited < ms && !enough(); waited += TURN_MS) await sleep(Math.min(TURN_MS, ms - waited));
}
