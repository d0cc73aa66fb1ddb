/** What befalls one stack: its processes, its router's kernel, its volume, its containers. */

import { SMALL, SMALL_FOLDER, type WorldStack } from './compose-file.ts';
import { pick, shuffled } from './random.ts';
import { anyStack, SLACK, type Stage } from './stage.ts';
import { daemonPid } from './world.ts';

export const daemonOf = (stage: Stage, stack: WorldStack, role: string) =>
  daemonPid(stage.world.container(stack, role));

export function signal(role: 'discovery' | 'router', name: string) {
  return async (stage: Stage) => {
    const stack = anyStack(stage);
    await stage.world.on(stack, `p=$(${daemonOf(stage, stack, role)}); test -n "$p" && kill -${name} $p`);
  };
}

export function pause(role: 'discovery' | 'router', seconds: number) {
  return async (stage: Stage) => {
    const stack = anyStack(stage);
    const pid = await stage.world.on(stack, daemonOf(stage, stack, role));
    await stage.world.on(stack, `kill -STOP ${pid}`);
    await stage.sleep(seconds * 1000);
    // Where another fault has ended it meanwhile there is nothing to wake.
    await stage.world.on(stack, `kill -CONT ${pid} || true`);
  };
}

const inRouter = (stage: Stage, stack: WorldStack) =>
  `nsenter --net=/proc/$(docker inspect -f '{{.State.Pid}}' ${stage.world.container(stack, 'router')})/ns/net`;

/** Deletes or alters something of a router's kernel by hand. */
export function damage(line: (victim: WorldStack, other: WorldStack) => string) {
  return async (stage: Stage) => {
    const stack = anyStack(stage);
    const other = pick(
      stage.random,
      stage.world.stacks.filter((one) => one !== stack),
    );
    await stage.world.on(stack, `${inRouter(stage, stack)} sh -c '${line(stack, other)}'`);
  };
}

/** Writes into the shared volume as somebody who shares it would. */
export function inVolume(script: string) {
  return async (stage: Stage) => {
    const stack = anyStack(stage);
    const folder = `$(docker volume inspect -f '{{.Mountpoint}}' ${stack.name}_docker-router)`;
    await stage.world.on(stack, `cd ${folder} && ${script}`);
  };
}

export async function composeRestart(stage: Stage, services: string): Promise<void> {
  await stage.world.on(anyStack(stage), `$C restart -t 5 ${services}`, 120_000);
}

export async function volumeLost(stage: Stage): Promise<void> {
  const { world } = stage;
  const stack = anyStack(stage);
  const files = stack.name === SMALL ? `; rm -rf ${SMALL_FOLDER}/*` : '';
  await world.on(stack, `$C down -v -t 5${files}`, 120_000);
  world.damage = { ...world.damage, down: new Set([stack.name]) };
  try {
    await stage.settled(`${stack.name} is down`, SLACK);
  } finally {
    await world.on(stack, '$C up -d', 120_000);
    world.damage = { ...world.damage, down: new Set() };
  }
  await world.aim();
}

/** The subnet of one stack goes to another: the first comes back with a new one, the second with the first's. */
export async function subnetMoved(stage: Stage): Promise<void> {
  const { world, random } = stage;
  const [a, b] = [anyStack(stage), pick(random, world.stacks)];
  if (a === b) return subnetMoved(stage);
  await world.aim([a, b]);
  await Promise.all([a, b].map((stack) => world.on(stack, '$C down -t 5', 120_000)));
  [a.net, b.net] = [b.net, a.net];
  for (const stack of [a, b]) {
    await world.writeFile(stack);
    await world.on(stack, '$C up -d', 120_000);
  }
  await world.aim();
}

/** The volume is read-only for both containers for some seconds, while Discovery starts again. */
export async function volumeReadOnly(stage: Stage): Promise<void> {
  const stack = anyStack(stage);
  // While a daemon has a file open for writing its mount stays as it is ("busy"): a millisecond later it can be changed.
  const remount = (how: string) =>
    ['discovery', 'router']
      .map(
        (role) =>
          `n=0; until nsenter -t $(docker inspect -f '{{.State.Pid}}' ${stage.world.container(stack, role)}) -m ` +
          `mount -o remount,bind,${how} /var/lib/docker-router; do n=$((n + 1)); [ $n -lt 20 ] || exit 1; sleep 0.1; done`,
      )
      .join('\n');
  try {
    await stage.world.on(stack, remount('ro'));
    await stage.world.on(stack, `kill -KILL $(${daemonOf(stage, stack, 'discovery')})`);
    await stage.sleep(5000);
  } finally {
    await stage.world.on(stack, remount('rw'));
  }
}

/** Both containers stop, and start in either order with a pause between; the volume is kept, or somebody empties it meanwhile. */
export function inAnyOrder(volume: 'kept' | 'lost') {
  return async (stage: Stage) => {
    const stack = anyStack(stage);
    const order = shuffled(stage.random, ['discovery', 'router']);
    const empty =
      volume === 'lost' ? `; rm -rf $(docker volume inspect -f '{{.Mountpoint}}' ${stack.name}_docker-router)/*` : '';
    const rm = stack.name === SMALL && volume === 'lost' ? `; rm -rf ${SMALL_FOLDER}/*` : '';
    const [first, second] = order;
    await stage.world.on(
      stack,
      `$C stop -t 5 discovery router${empty}${rm}; $C start ${first}; sleep 1.${Math.floor(stage.random() * 9)}; $C start ${second}`,
      120_000,
    );
  };
}

/** The container itself, without a word: Docker takes that for the user's will and does not start it again. */
export function containerKilled(role: 'discovery' | 'router') {
  return async (stage: Stage) => {
    const stack = anyStack(stage);
    const name = stage.world.container(stack, role);
    await stage.world.on(stack, `docker kill ${name} && docker start ${name}`, 60_000);
  };
}

/** Somebody damages the files of the volume twenty times a second, so also between any two steps of a write, of which there are some meanwhile. */
export async function filesAgainAndAgain(stage: Stage): Promise<void> {
  const stack = anyStack(stage);
  const script = `for n in $(seq 100); do for f in discovery.json* router.json* status.json*; do
    case $((RANDOM % 4)) in 0) truncate -s $((RANDOM % 900)) $f ;; 1) head -c 700 /dev/urandom >$f ;; 2) rm -f $f ;; esac
  done; sleep 0.05; done 2>/dev/null; true`;
  await inVolume(script)({ ...stage, victims: [stack] });
}

/** All control processes of a host, and its engine, stand still. */
export async function hostStandsStill(stage: Stage): Promise<void> {
  const { world } = stage;
  const host = pick(stage.random, world.hosts);
  const daemons = world.stacks
    .filter((stack) => stack.host === host)
    .flatMap((stack) => ['discovery', 'router'].map((role) => `$(${daemonOf(stage, stack, role)})`));
  const pids = await world.shell(host).ok(`echo ${daemons.join(' ')} $(pidof dockerd)`);
  await world.shell(host).ok(`kill -STOP ${pids}`);
  try {
    await stage.sleep(4000);
  } finally {
    await world.shell(host).ok(`kill -CONT ${pids}`);
  }
}
