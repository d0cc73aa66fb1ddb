/** What befalls a host, its line, or the whole network. */
import { fileURLToPath } from 'node:url';
import { run } from '../../src/process/run.ts';
import { SMALL, TIMES } from './compose-file.ts';
import type { ModelStack } from './model.ts';
import { pick } from './random.ts';
import { serverUp } from './servers.ts';
import { type Fault, FIND, SLACK, type Stage } from './stage.ts';
import type { World } from './world.ts';

const LAB = fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url));
const { PEER_TIMEOUT } = TIMES;

export async function lab(...args: string[]): Promise<void> {
  const { code, stderr } = await run([LAB, ...args], '', 120_000);
  if (code !== 0) throw new Error(`lab.sh ${args.join(' ')}: ${stderr}`);
}

const stacksOf = (world: World, host: number) => world.stacks.filter((stack) => stack.host === host);

/** Without its cable a host is forgotten by the others after PEER_TIMEOUT, its stacks go on among themselves; plugged in, all comes back. */
export async function linkDown(stage: Stage): Promise<void> {
  const { world } = stage;
  const host = pick(stage.random, world.hosts);
  await lab('link', String(host), 'down');
  try {
    world.damage = { ...world.damage, away: new Set([host]) };
    await stage.settled(`host ${host} without its cable`, PEER_TIMEOUT + SLACK);
  } finally {
    await lab('link', String(host), 'up');
    world.damage = { ...world.damage, away: new Set() };
  }
}

export async function linkFlap(stage: Stage): Promise<void> {
  const host = String(pick(stage.random, stage.world.hosts));
  for (let n = 0; n < 3; n += 1) {
    await lab('link', host, 'down');
    await stage.sleep(300);
    await lab('link', host, 'up');
    await stage.sleep(300);
  }
}

export async function hostOff(stage: Stage): Promise<void> {
  const { world } = stage;
  const host = pick(stage.random, world.hosts);
  await lab('off', String(host));
  world.shell(host).close();
  for (const { name } of stacksOf(world, host)) world.off.add(name);
  world.damage = { ...world.damage, away: new Set([host]) };
  try {
    await stage.settled(`host ${host} is off`, PEER_TIMEOUT + SLACK);
  } finally {
    await lab('on', String(host));
    await world.prepare(host);
    world.off.clear();
    world.damage = { ...world.damage, away: new Set() };
  }
  // Its engine has started the stack before there was its small file system.
  const small = stacksOf(world, host).find(({ name }) => name === SMALL);
  const again = small ? `docker compose --progress quiet -f /root/${SMALL}.yml down -t 5;` : '';
  await world
    .shell(host)
    .ok(
      `for n in $(seq 100); do docker info >/dev/null 2>&1 && break; sleep 0.3; done; ${again} for f in /root/*.yml; do docker compose --progress quiet -f $f up -d; done`,
      120_000,
    );
  await world.aim();
}

const ingress = (rule: string) =>
  `printf '%s\\n' 'table netdev chaos {' 'chain c {' 'type filter hook ingress device eth0 priority -10;' '${rule}' '}' '}' | nft -f -`;

/** Rules of the host's own firewall: what this kernel has of a bad line (it has no netem). */
export function badLine(rules: string, seconds: number) {
  return async (stage: Stage) => {
    const shell = stage.world.shell(pick(stage.random, stage.world.hosts));
    await shell.ok(ingress(rules));
    try {
      await stage.sleep(seconds * 1000);
    } finally {
      await shell.ok('nft delete table netdev chaos');
    }
  };
}

export async function oneWay(stage: Stage): Promise<void> {
  const [from, to] = [pick(stage.random, [1, 2, 3]), pick(stage.random, [1, 2, 3])];
  if (from === to) return oneWay(stage);
  const shell = stage.world.shell(to);
  await shell.ok(ingress(`ip saddr ${stage.world.hostAddress.get(from)} drop`));
  await stage.sleep((PEER_TIMEOUT + 3) * 1000);
  await shell.ok('nft delete table netdev chaos');
}

export async function dockerdRestart(stage: Stage): Promise<void> {
  const { world } = stage;
  const shell = world.shell(pick(stage.random, world.hosts));
  await shell.ok('kill -KILL $(pidof dockerd); sleep 1');
  await shell.ok(
    'for n in $(seq 200); do docker info >/dev/null 2>&1 && exit_ok=1 && break; sleep 0.3; done; test -n "$exit_ok"; for f in /root/*.yml; do docker compose --progress quiet -f $f up -d; done; ' +
      serverUp(world),
    150_000,
  );
  await world.aim();
}

const CROWD = 200;

/** As crowd.py announces them. */
export function crowd(world: World): ModelStack[] {
  return Array.from({ length: CROWD }, (_, n) => {
    world.hostAddress.set(1000 + n, `10.77.1.${n + 1}`);
    return {
      name: `crowd-${n}`,
      host: 1000 + n,
      net: `10.60.${n}`,
      mac: `02:cc:00:00:00:${n.toString(16).padStart(2, '0')}`,
      port: 4789,
    };
  });
}

/** 200 stacks join within 8 s, are all routed, and leave within 8 s. */
export async function crowdComesAndGoes(stage: Stage): Promise<void> {
  const { world } = stage;
  const [join, stay, leave] = [8, 10, 8];
  const script = world.outside.ok(`python3 /repo/test/chaos/crowd.py ${CROWD} ${join} ${stay} ${leave}`, 120_000);
  script.catch(() => undefined);
  await stage.sleep(join * 1000);
  world.crowd = crowd(world);
  try {
    await stage.settled(`${CROWD} stacks have joined`, stay - 2);
  } finally {
    await script;
    world.crowd = [];
  }
}

/** Packets of all hosts overtake each other, or come twice: what netem would do where the kernel has it. */
function badOrder(mode: 'reorder' | 'duplicate' | 'both', seconds: number) {
  return async ({ world, ownLoss }: Stage) => {
    const words = await world.outside.ok(`python3 /repo/test/chaos/bad-line.py ${mode} ${seconds}`, 60_000);
    const [handled, dropped] = words.split('\n').at(-1)!.split(' ').map(Number);
    if (!(handled! > 100)) throw new Error(`only ${words} packets came by`);
    ownLoss(dropped!);
  };
}

/** Everything at once: packets lost, overtaking each other, and coming twice. */
async function everythingBad(stage: Stage): Promise<void> {
  await Promise.all([badOrder('both', 6)(stage), badLine('numgen random mod 10 < 3 drop', 6)(stage)]);
}

export const LINE_FAULTS: readonly Fault[] = [
  {
    name: 'line-reorders',
    promise: 'peers stay; at once after it ends',
    within: FIND,
    run: badOrder('reorder', 5),
  },
  {
    name: 'line-duplicates',
    promise: 'peers stay, no probe lost',
    within: FIND,
    lossless: true,
    run: badOrder('duplicate', 5),
  },
  {
    name: 'line-loses-reorders-duplicates',
    promise: 'peers stay; at once after it ends',
    within: FIND,
    run: everythingBad,
  },
];
