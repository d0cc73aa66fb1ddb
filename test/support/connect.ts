/** How soon stacks in the lab are connected, measured by services that were there before. */
import { hostNumbers, ok } from './lab.ts';
import { compose, container, reaches, type Stack } from './stacks.ts';

/** Beyond what is asserted, so that a failure says how long it took. */
const PATIENCE_S = 60;

/** From here on a host neither sends nor hears multicast. */
export async function dropMulticast(hosts: number): Promise<void> {
  for (const host of hostNumbers(hosts))
    for (const chain of ['OUTPUT', 'INPUT']) await ok(host, 'iptables', '-I', chain, '-d', '224.0.0.0/4', '-j', 'DROP');
}

async function startedAt(stack: Stack, service: string): Promise<number> {
  return Date.parse(await ok(stack.host, 'docker', 'inspect', '-f', '{{.State.StartedAt}}', container(stack, service)));
}

/** Milliseconds from the start of the last Discovery or Router until every stack reaches every other one over TCP. `start` starts the stacks. */
export async function connectTime(stacks: readonly Stack[], start: () => Promise<unknown>): Promise<number> {
  // The services alone at first: what they wait for is then nothing but the two containers.
  await Promise.all(stacks.map((stack) => compose(stack, 'up', '-d', stack.service)));
  const others = (stack: Stack) => stacks.filter((other) => other !== stack);
  const ends = Promise.all(
    stacks.map(async (stack) => {
      await reaches(stack, others(stack), PATIENCE_S);
      return Date.now();
    }),
  );
  const [found] = await Promise.all([ends, start()]);
  const begins = await Promise.all(
    stacks.flatMap((stack) => ['discovery', 'router'].map((service) => startedAt(stack, service))),
  );
  return Math.max(...found) - Math.max(...begins);
}
