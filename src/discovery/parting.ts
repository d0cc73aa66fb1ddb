/**
 * How discovery leaves. Stopped alone (`docker compose restart discovery`) it says nothing: the stack goes on forwarding, and the others keep
 * their routes to it until its record is over. Stopped with its router (`docker compose down`) it says goodbye, and the others know at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Parting } from '../sources/source.ts';
import type { RouterFile } from '../state/router-file.ts';

/** `docker compose down` stops both at once, but not in the same instant: the router's word is waited for, for so long. */
const WAIT_MS = 550;
const LOOK_MS = 15;

/** Whether this stack has a router that would have said that it stops, and has not said so. */
const goesOn = (plane: RouterFile | undefined) => plane?.state === 'running' && plane.subnets.length > 0;

/** @param look reads router.json: the last good content of it, undefined when there was never any */
export async function parting(look: () => Promise<RouterFile | undefined>, waitMs = WAIT_MS): Promise<Parting> {
  const deadline = performance.now() + waitMs;
  // The last look is after the deadline: a process that did not get its turn must not believe that it has waited.
  for (;;) {
    const late = performance.now() > deadline;
    if (!goesOn(await look())) return 'goodbye';
    if (late) return 'quietly';
    await sleep(LOOK_MS);
  }
}
