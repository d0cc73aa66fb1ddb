/** A host that is cut off while all the others restart, and its return. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Hosts, within } from '../support/hosts.ts';
import { HEAL_MS, NOTICE_MS } from './hosts.ts';

export interface CutOptions {
  readonly cutMs: number;
  /** The two others are killed in the middle of the cut, and start again without knowing where anybody was. */
  readonly restart: boolean;
}

/** Cuts the third host off. @returns what was measured, in words. @throws when a bound is not kept. */
export async function cutAndHeal(hosts: Hosts, { cutMs, restart }: CutOptions): Promise<string> {
  const [one, two, three] = hosts.stacks;
  const end = performance.now() + cutMs;
  await hosts.cable(three, 'down');
  const gone = await within(NOTICE_MS, 'the host that is cut off is unrouted', () => hosts.unrouted(three));
  if (restart) {
    await sleep((end - performance.now()) / 2);
    for (const stack of [one, two]) {
      await hosts.kill(stack);
      hosts.remove(stack, 'gossip.json');
      await hosts.start(stack);
    }
  }
  await sleep(Math.max(0, end - performance.now()));
  await hosts.cable(three, 'up');
  const back = await within(HEAL_MS, 'all pairs are connected again', hosts.connecting());
  return `unrouted after ${gone} ms, connected again ${back} ms after the end of the cut`;
}
