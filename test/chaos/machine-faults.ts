/** What befalls the machine under a stack: its clock, its address, its disk, its memory, the images that run on it. */
import { SMALL, SMALL_FOLDER, type WorldStack } from './compose-file.ts';
import { pick } from './random.ts';
import { daemonOf } from './stack-faults.ts';
import { anyStack, type Stage } from './stage.ts';

/** The clock of a host, as the daemons of its stacks read it, is wrong by so many seconds to either side, and right again. */
export function clockJump(seconds: number, { kills = false } = {}) {
  return async (stage: Stage) => {
    const { world, random } = stage;
    const host = pick(random, world.hosts);
    const offset = random() < 0.5 ? seconds : -seconds;
    const victims = world.stacks.filter((stack) => stack.host === host);
    const kill = async () => {
      if (!kills) return;
      for (const stack of victims)
        for (const role of ['discovery', 'router'])
          await world.on(stack, `kill -KILL $(${daemonOf(stage, stack, role)})`);
    };
    await world.shell(host).ok(`echo ${offset} >/root/clock/offset`);
    try {
      await kill();
      await stage.sleep(5000);
    } finally {
      await world.shell(host).ok('echo 0 >/root/clock/offset');
    }
    await kill();
    await stage.sleep(2000);
  };
}

/** The host gets another address of the same network, as from DHCP; or its first one again. */
export async function addressChanges(stage: Stage): Promise<void> {
  const { world } = stage;
  const host = pick(stage.random, world.hosts);
  const old = world.hostAddress.get(host)!;
  const address = old === `10.77.0.${host}` ? `10.77.0.${host + 20}` : `10.77.0.${host}`;
  await world
    .shell(host)
    .ok(
      `ip address del ${old}/24 dev eth0; ip address add ${address}/24 dev eth0 && ip route replace default via 10.77.0.254`,
    );
  world.hostAddress.set(host, address);
}

/** A stack's volume is full, so that neither daemon can write; both are killed meanwhile and start in it. */
export async function diskFull(stage: Stage): Promise<void> {
  const { world } = stage;
  const stack = world.stacks.find(({ name }) => name === SMALL)!;
  await world.on(
    stack,
    `cat /dev/zero >${SMALL_FOLDER}/ballast 2>/dev/null; test $(df --output=avail ${SMALL_FOLDER} | tail -n 1) -eq 0`,
  );
  try {
    await stage.sleep(1000);
    for (const role of ['discovery', 'router']) await world.on(stack, `kill -KILL $(${daemonOf(stage, stack, role)})`);
    await stage.sleep(5000);
  } finally {
    await world.on(stack, `rm -f ${SMALL_FOLDER}/ballast`);
  }
}

/** A container's memory is so little that its daemon cannot run: the kernel kills it at each start, until the limit is lifted. */
export function memoryLimit(role: 'discovery' | 'router', seconds: number) {
  return async (stage: Stage) => {
    const { world } = stage;
    const stack = anyStack(stage);
    const update = (limit: string) =>
      `docker update --memory ${limit} --memory-swap ${limit} ${world.container(stack, role)} >/dev/null`;
    // A limit below what is in use would be refused; what a killed process leaves is little.
    await world.on(
      stack,
      `for n in 1 2 3 4 5; do kill -KILL $(${daemonOf(stage, stack, role)}); ${update('12m')} && ok=1 && break; done; test -n "$ok"`,
    );
    try {
      await stage.sleep(seconds * 1000);
    } finally {
      await world.on(stack, update('1g'));
    }
  };
}

async function run(stage: Stage, stack: WorldStack, images: WorldStack['images']): Promise<void> {
  stack.images = images;
  await stage.world.writeFile(stack);
  await stage.world.on(stack, '$C up -d -t 5', 120_000);
}

/** A stack of the earlier images lives among those of today, and is upgraded. */
export async function upgraded(stage: Stage): Promise<void> {
  const stack = anyStack(stage);
  await run(stage, stack, 'previous');
  try {
    await stage.settled(`${stack.name} runs the earlier images`, 12);
  } finally {
    await run(stage, stack, 'latest');
  }
}
