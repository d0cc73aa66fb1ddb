/** Three hosts, six stacks, traffic between all pairs: made in a lab that is up, and observed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { SourceName } from '../../src/config/discovery-config.ts';
import { vtepMac } from '../../src/net/mac.ts';
import { run } from '../../src/process/run.ts';
import { composeFile, HOSTS, prepareHost, STACKS, type WorldStack } from './compose-file.ts';
import { HostShell } from './host-shell.ts';
import { type Look, lookLine, ROLES, readLook } from './look.ts';
import { connected, type Damage, differences, expectedTables, type ModelStack, WHOLE } from './model.ts';
import { anyOpen, LOST_MS, OPEN_MS, type Stats, silences } from './stats.ts';

/** One daemon at one moment. */
export interface Sample {
  readonly daemon: string;
  readonly rssKb: number;
  readonly files: number;
  /** Those that keep the process running. */
  readonly timers: number;
  /** Entries in its router's kernel. */
  readonly objects: number;
}

export interface Observation {
  /** What is not as the model says, in words; empty when all is. */
  readonly wrong: readonly string[];
  readonly stats: readonly Stats[];
}

const BUILD_PROBES = fileURLToPath(new URL('build-probes.sh', import.meta.url));

const compose = (stack: WorldStack) => `docker compose --progress quiet -f /root/${stack.name}.yml`;
const container = (stack: WorldStack, service: string) => `${stack.name}-${service}-1`;

/** Shell that prints the process id, in the host, of the daemon itself: the largest, so not tini, nor the shell that supervises it, nor a child that is only just starting. */
export const daemonPid = (name: string) =>
  `docker top ${name} -eo pid,rss,comm | awk '$3 ~ /^(node|MainThread|docker-router)/ && $2 > most { most = $2; pid = $1 } END { print pid }'`;

export class World {
  readonly stacks: WorldStack[] = STACKS.map(([name, host, net]) => ({ name, host, net, images: 'latest' }));
  readonly #shells = new Map(HOSTS.map((host) => [host, new HostShell('in', String(host))]));
  readonly outside = new HostShell('outside');
  /** Time between two probes of a pair. */
  readonly probeMs: number;
  /** What the model knows of the world at the moment. */
  damage: Damage = WHOLE;
  /** Ports of the tunnels, as their devices have them. */
  readonly #ports = new Map<string, number>();
  readonly #addresses = new Map<string, string>();
  readonly hostAddress = new Map(HOSTS.map((host) => [host, `10.77.0.${host}`]));

  readonly source: SourceName;
  /** Whether the hosts have images of an earlier commit. */
  hasPrevious = false;

  constructor(probeMs: number, source: SourceName = 'multicast') {
    this.probeMs = probeMs;
    this.source = source;
  }

  get hosts(): readonly number[] {
    return HOSTS;
  }

  shell(host: number): HostShell {
    return this.#shells.get(host)!;
  }

  /** A line of shell on the stack's host; `$C` is the stack's compose command. */
  on(stack: WorldStack, line: string, withinMs?: number): Promise<string> {
    return this.shell(stack.host).ok(`C="${compose(stack)}"; ${line}`, withinMs);
  }

  container(stack: WorldStack, service: string): string {
    return container(stack, service);
  }

  async writeFile(stack: WorldStack): Promise<void> {
    const text = Buffer.from(composeFile(stack, this.probeMs, this.source)).toString('base64');
    await this.shell(stack.host).ok(`echo ${text} | base64 -d >/root/${stack.name}.yml`);
  }

  /** What a host's stacks need besides its disk; also after it was off. */
  async prepare(host: number): Promise<void> {
    await this.shell(host).ok(prepareHost(host));
    this.hostAddress.set(host, `10.77.0.${host}`);
  }

  /** @throws Error when a stack or the probers' program cannot be made. */
  async start(): Promise<void> {
    const built = await run([BUILD_PROBES], '', 300_000);
    if (built.code !== 0) throw new Error(`the prober could not be built: ${built.stderr.slice(-400)}`);
    await Promise.all(HOSTS.map((host) => this.prepare(host)));
    const images = 'docker image inspect docker-router:previous docker-router-discovery:previous';
    const found = await Promise.all(HOSTS.map((host) => this.shell(host).run(images)));
    this.hasPrevious = found.every(({ code }) => code === 0);
    // In a lab that stayed up they may be as another campaign left them, with each other's subnets: none is made before all of those are gone.
    await Promise.all(
      this.stacks.map(async (stack) => {
        await this.writeFile(stack);
        await this.on(stack, '$C down -v -t 2', 180_000);
      }),
    );
    await Promise.all(this.stacks.map((stack) => this.on(stack, '$C up -d', 180_000)));
    await this.aim();
  }

  /** Tells every service where the others are, but for those whose addresses are about to be somebody else's. */
  async aim(without: readonly WorldStack[] = []): Promise<void> {
    const look = (stack: WorldStack) =>
      this.on(
        stack,
        `docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' ${container(stack, 'web')}`,
      );
    const found = await Promise.all(this.stacks.map(async (stack) => [stack.name, await look(stack)] as const));
    for (const [name, address] of found) this.#addresses.set(name, address);
    const all = found.map(([name, address]) => ({ name, address }));
    await Promise.all(
      this.stacks.map((stack) => {
        const body = JSON.stringify(
          all.filter(({ name }) => name !== stack.name && !without.some((one) => one.name === name)),
        );
        return this.on(
          stack,
          `curl -sf --retry 20 --retry-connrefused --retry-delay 1 -m 20 -X PUT -d '${body}' http://${this.#addresses.get(stack.name)}:7091/targets >/dev/null`,
        );
      }),
    );
  }

  /** Counters anew. @throws Error where a service does not hear of it: what it counts then would be of two faults. */
  async mark(): Promise<void> {
    const { missing } = await this.counters('mark');
    if (missing.length > 0) throw new Error(`no answer from the services of ${missing.join(', ')}`);
  }

  /** Asked once more where a service was too slow to answer. */
  async counters(what: 'stats' | 'mark' = 'stats'): Promise<{ stats: Stats[]; missing: string[] }> {
    const all = await Promise.all(
      this.stacks.map(async (stack) => (await this.#stats(stack, what)) ?? (await this.#stats(stack, what))),
    );
    const missing = this.stacks.filter((_, n) => all[n] === undefined).map(({ name }) => name);
    return { stats: all.flatMap((one) => one ?? []), missing };
  }

  /** The same when every probe that was sent before the call is answered or lost; a loss is certain after two seconds. */
  async settledCounters(): Promise<{ stats: Stats[]; missing: string[] }> {
    const began = performance.now();
    // What was sent last before the call is old enough to be counted as open after this.
    await sleep(OPEN_MS);
    for (;;) {
      const seen = await this.counters();
      if (!anyOpen(seen.stats) || performance.now() - began > LOST_MS + OPEN_MS) return seen;
      await sleep(OPEN_MS / 2);
    }
  }

  async #stats(stack: WorldStack, what: 'stats' | 'mark'): Promise<Stats | undefined> {
    if (this.damage.down.has(stack.name)) return undefined;
    const { code, output } = await this.shell(stack.host).run(
      `curl -sf -m 3 http://${this.#addresses.get(stack.name)}:7091/${what}`,
      8000,
    );
    try {
      return code === 0 ? (JSON.parse(output) as Stats) : undefined;
    } catch {
      return undefined;
    }
  }

  async #look(stack: WorldStack): Promise<Look | undefined> {
    const line = lookLine((role) => container(stack, role));
    const { code, output } = await this.shell(stack.host).run(line, 15_000);
    const seen = code === 255 ? undefined : readLook(output);
    if (seen) this.#ports.set(stack.name, seen.port);
    return seen;
  }

  /** Memory, open files and timers of every daemon, and the entries of its router. */
  async sample(): Promise<Sample[]> {
    const all = await Promise.all(
      this.stacks.map(async (stack) => {
        const look = await this.#look(stack);
        const objects = Object.values(look?.tables ?? {}).reduce((sum, lines) => sum + lines.length, 0);
        const roles = ROLES.map(async (role): Promise<Sample[]> => {
          const line = `p=$(${daemonPid(this.container(stack, role))}); awk '/VmRSS/ { print $2 }' /proc/$p/status; ls /proc/$p/fd | wc -l; cat /proc/$p/root/dev/shm/timers 2>/dev/null; true`;
          const [rssKb, files, timers = Number.NaN] = (await this.shell(stack.host).ok(line))
            .trim()
            .split('\n')
            .map(Number);
          return rssKb && files && timers >= 0
            ? [{ daemon: `${stack.name}-${role}`, rssKb, files, timers, objects }]
            : [];
        });
        return (await Promise.all(roles)).flat();
      }),
    );
    return all.flat();
  }

  #model(): ModelStack[] {
    return this.stacks.map(({ name, host, net }) => ({
      name,
      host,
      net,
      mac: vtepMac(name),
      port: this.#ports.get(name) ?? 0,
    }));
  }

  /** Compares the kernels and the traffic with the model. Stacks that are away themselves are not looked at. */
  async observe(): Promise<Observation> {
    const looked = this.stacks.filter(({ name }) => !this.damage.down.has(name) && !this.off.has(name));
    const looks = new Map(
      await Promise.all(looked.map(async (stack) => [stack.name, await this.#look(stack)] as const)),
    );
    const stats = (await Promise.all(looked.map((stack) => this.#stats(stack, 'stats')))).flatMap((one) => one ?? []);
    const model = this.#model();
    const wrong: string[] = [];
    for (const stack of looked) {
      const self = model.find(({ name }) => name === stack.name)!;
      const have = looks.get(stack.name);
      const want = expectedTables(self, [...model, ...this.crowd], this.damage, (host) => this.hostAddress.get(host)!);
      wrong.push(
        ...(have
          ? [...have.away.map((role) => `no process of ${role}`), ...differences(want, have.tables)]
          : ['its kernel cannot be read']
        ).map((words) => `${stack.name}: ${words}`),
      );
      const own = stats.find(({ name }) => name === stack.name);
      if (!own) wrong.push(`${stack.name}: its service does not answer`);
      const others = model.filter((other) => other !== self && connected(self, other, this.damage));
      if (own) wrong.push(...silences(own, new Set(others.map(({ name }) => name))));
    }
    return { wrong, stats };
  }

  /** What each Discovery says that differs from: all the others, active, by the source of this world. Kernels alone would also be right by what stood before. */
  async unseen(): Promise<string[]> {
    const look = async (stack: WorldStack): Promise<string[]> => {
      const path = `$(docker volume inspect -f '{{.Mountpoint}}' ${stack.name}_docker-router)/discovery.json`;
      const { output } = await this.shell(stack.host).run(`cat ${path}`);
      try {
        const { peers } = JSON.parse(output) as { peers: { stack_id: string; status: string; source: string }[] };
        const seen = peers.filter(({ status, source }) => status === 'active' && source === this.source);
        return this.stacks
          .filter(({ name }) => name !== stack.name && !seen.some(({ stack_id }) => stack_id === name))
          .map(({ name }) => `${stack.name} does not see ${name} by ${this.source}`);
      } catch {
        return [`${stack.name}: its discovery.json cannot be read`];
      }
    };
    return (await Promise.all(this.stacks.map(look))).flat();
  }

  /** Stacks that are only announced. */
  crowd: ModelStack[] = [];

  /** Stacks of hosts that are off. */
  readonly off = new Set<string>();

  /** Ends the probes, which would keep a processor busy in a lab that stays up. */
  async hush(): Promise<void> {
    const line = ({ name }: WorldStack) =>
      `curl -s -m 5 -X PUT -d '[]' http://${this.#addresses.get(name)}:7091/targets >/dev/null`;
    await Promise.all(this.stacks.map((stack) => this.shell(stack.host).run(line(stack), 8000)));
  }

  close(): void {
    for (const shell of [...this.#shells.values(), this.outside]) shell.close();
  }
}
