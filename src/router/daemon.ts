/** The router daemon: discovery.json and the kernel's state -> reconcile -> router.json. Level-triggered, one pass at a time. */
import { join } from 'node:path';
import type { RouterConfig } from '../config/router-config.ts';
import { ConfigError } from '../config/variables.ts';
import { encryptable } from '../desired/tunnel.ts';
import type { RouterObservation } from '../metrics/router-observation.ts';
import type { Names } from '../names/names.ts';
import type { Clock } from '../process/clock.ts';
import { HealthFile } from '../process/health.ts';
import { type Logger, LogLimiter } from '../process/log.ts';
import { parseJson } from '../record/record.ts';
import { readCapped, removeLeftovers } from '../state/atomic-file.ts';
import { MAX_DISCOVERY_BYTES } from '../state/discovery-file.ts';
import { MAX_ROUTER_BYTES, type Problem, RouterFileSchema } from '../state/router-file.ts';
import { TrackedFile } from '../state/tracked-file.ts';
import { watchFile } from '../state/watch-file.ts';
import { type DiscoveryInput, parseDiscovery, sameRouted } from './discovery-input.ts';
import { type Plane, PlaneFile } from './plane-file.ts';
import { fatalProblems, forwardingProblem, noEngine } from './preflight.ts';
import { type Pass, type Remembered, reconcile, type Surroundings } from './reconcile.ts';
import { StatusReport } from './status-report.ts';
import { type Settled, settled, step } from './step.ts';
import { encryptionNote, explainDeviceError, surroundings } from './surroundings.ts';

/** A pass that failed is tried again after this, doubled each time up to the resync interval. */
const RETRY_MS = 500;

export class RouterDaemon {
  readonly #config: RouterConfig;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #health: HealthFile;
  readonly #limiter = new LogLimiter();
  readonly #file: PlaneFile;
  readonly #discoveryFile: TrackedFile<DiscoveryInput>;
  readonly #status: StatusReport;
  #around: Surroundings | undefined;
  #remembered: Remembered = { port: undefined, gateway: undefined };
  #input: DiscoveryInput | undefined;
  /** Peers with whom there is no common way to speak. */
  #unencrypted: readonly Problem[] = [];
  /** The last file that a pass was made for. */
  #routed: DiscoveryInput | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  /** What the last pass was made for, when its lines are in the kernel and nobody has looked yet. */
  #unverified: { readonly input: DiscoveryInput | undefined } | undefined;
  /** What the last pass left, while it is less than a resync interval old; a pass without it looks at the kernel first. */
  #settled: Settled | undefined;
  #resyncAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #stopped = false;
  #closeWatch: () => void = () => undefined;
  #names: Names | undefined;
  #observation: RouterObservation | undefined;

  constructor(config: RouterConfig, clock: Clock, log: Logger) {
    this.#config = config;
    this.#clock = clock;
    this.#log = log;
    this.#health = new HealthFile(config.healthFile);
    this.#file = new PlaneFile(join(config.stateDir, 'router.json'), clock.wall);
    this.#discoveryFile = new TrackedFile(join(config.stateDir, 'discovery.json'), MAX_DISCOVERY_BYTES, parseDiscovery);
    this.#status = new StatusReport(config, clock, (message) => this.#limited('status', message));
  }

  /** @throws ConfigError when the container lacks what no retry can give it. */
  async start(): Promise<void> {
    const fatal = await fatalProblems(this.#config.stateDir);
    if (fatal.length > 0) throw new ConfigError(fatal);
    this.#health.start();
    await removeLeftovers(this.#file.path);
    this.#remembered = await this.#remember();
    this.#around = await surroundings(this.#config, this.#log);
    if (this.#config.encryption !== 'off') await this.#openTunnel(this.#around);
    if (this.#config.metricsPort !== 'off') await this.#observe();
    const watcher = watchFile(this.#discoveryFile.path, () => void this.#lookAtDiscovery());
    this.#closeWatch = () => watcher.close();
    await this.#lookAtDiscovery();
    await this.#trigger();
  }

  /** @throws ConfigError when this container can encrypt nothing: better no traffic than one in clear. */
  async #openTunnel(around: Surroundings): Promise<void> {
    const { Tunnel } = await import('./tunnel.ts');
    const tunnel = await Tunnel.open(this.#config, this.#clock, around.underlay);
    if (!tunnel) throw new ConfigError([noEngine(this.#config.encryption)]);
    this.#around = { ...around, underlay: tunnel.underlay, tunnel };
    this.#log.info(encryptionNote(this.#config, tunnel));
  }

  /** Devices, routes and the gateway address stay: forwarding outlives this process. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#closeWatch();
    this.#names?.stop();
    this.#observation?.stop();
    clearTimeout(this.#timer);
    this.#status.stop();
    await this.#file.farewell();
    if (this.#running) {
      // The pass under way may have written the file once more.
      await this.#running;
      await this.#file.farewell();
    }
    this.#health.stop();
  }

  async #observe(): Promise<void> {
    const { RouterObservation } = await import('../metrics/router-observation.ts');
    this.#observation = new RouterObservation({
      config: this.#config,
      clock: this.#clock,
      log: this.#log,
      health: this.#health,
      input: () => this.#input,
      measured: () => this.#status.measured,
    });
  }

  async #remember(): Promise<Remembered> {
    const text = await readCapped(this.#file.path, MAX_ROUTER_BYTES).catch(() => undefined);
    const last = text === undefined ? undefined : parseJson(RouterFileSchema, text, MAX_ROUTER_BYTES);
    return last?.ok
      ? { port: last.value.vxlan_port, gateway: last.value.gateway_ip }
      : { port: undefined, gateway: undefined };
  }

  async #lookAtDiscovery(): Promise<void> {
    const look = await this.#discoveryFile.look();
    if (look.kind === 'bad')
      return this.#limited('discovery.json', `discovery.json ignored, the last good one stays: ${look.error}`);
    if (look.kind !== 'good') return;
    if (look.value.dropped.length > 0) {
      this.#limited(
        'dropped',
        `${look.value.dropped.length} entries of discovery.json ignored: ${look.value.dropped[0]}`,
      );
    }
    const { peers, refused } = encryptable(look.value.peers, this.#config.encryption);
    this.#input = { ...look.value, peers, known: look.value.peers };
    this.#unencrypted = refused.slice(0, 10).map((message) => ({ code: 'peer-refused', message }));
    if (sameRouted(this.#routed, look.value)) return;
    this.#routed = look.value;
    await this.#trigger();
  }

  /** Runs a pass now, or once more after the one that is running. */
  async #trigger(): Promise<void> {
    if (this.#stopped || !this.#around) return;
    this.#again = true;
    this.#running ??= this.#loop().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  async #loop(): Promise<void> {
    clearTimeout(this.#timer);
    while (this.#again && !this.#stopped) {
      this.#again = false;
      await this.#pass();
    }
    if (this.#stopped) return;
    const retry = Math.min(this.#config.resyncMs, RETRY_MS * 2 ** Math.min(this.#failures - 1, 16));
    const rest = Math.max(
      0,
      Math.min(this.#resyncAt - this.#clock.monotonic(), this.#around?.tunnel?.nextLook ?? Number.POSITIVE_INFINITY),
    );
    this.#timer = setTimeout(() => void this.#trigger(), this.#failures > 0 ? retry : rest);
  }

  /** A step where the last pass allows it; otherwise, and every resync interval, the whole. */
  async #advance(input: DiscoveryInput | undefined): Promise<Pass> {
    const stepping = this.#clock.monotonic() < this.#resyncAt && !this.#around?.tunnel;
    const from = stepping ? this.#settled : undefined;
    this.#settled = undefined;
    const stepped = from && input ? await step(this.#config, from, input) : undefined;
    if (stepped) return stepped;
    const pass = await reconcile(this.#config, this.#around!, this.#remembered, input);
    this.#resyncAt = this.#clock.monotonic() + this.#config.resyncMs;
    return pass;
  }

  async #pass(): Promise<void> {
    try {
      const started = this.#clock.monotonic();
      const input = this.#input;
      const pass = await this.#advance(input);
      this.#settled = settled(pass, input);
      const forwarding = await forwardingProblem();
      const problems = [
        ...pass.problems,
        ...this.#verify(pass, input),
        ...this.#unencrypted,
        ...(forwarding ? [forwarding] : []),
      ];
      for (const note of pass.notes) this.#log.info(note);
      if (pass.changed > 0) {
        const ms = Math.round(this.#clock.monotonic() - started);
        this.#log.info(
          `kernel brought up to date with ${pass.changed} changes in ${ms} ms: ${pass.routed} remote subnets`,
        );
      }
      await this.#publish(pass, problems);
      this.#status.follow(pass);
      this.#settle(pass, problems);
      await this.#observation?.passed(pass, problems, this.#clock.monotonic() - started);
      await this.#name(pass);
    } catch (cause) {
      this.#failures += 1;
      this.#observation?.failed();
      const message = explainDeviceError((cause as Error).message, this.#config);
      this.#limited(`pass ${message}`, message, 'error');
      this.#health.set('unhealthy', message);
    }
  }

  /** What was applied is looked at at once, after it has been told: the peers need not wait for it. What differs again is a problem. */
  #verify(pass: Pass, input: DiscoveryInput | undefined): Problem[] {
    const verifies = this.#unverified !== undefined && this.#unverified.input === input;
    this.#unverified = pass.unverified ? { input } : undefined;
    if (this.#unverified && !verifies) this.#again = true;
    if (!verifies || pass.changed === 0) return [];
    const message = `${pass.changed} kernel entries differ again right after they were set; is something else changing them?`;
    return [{ code: 'not-settled', message }];
  }

  #settle(pass: Pass, problems: readonly Problem[]): void {
    for (const { code, message } of problems) this.#limited(`${code} ${message}`, message, 'error');
    // A peer that is refused is that peer's trouble, not this router's.
    const own = problems.filter(({ code }) => code !== 'peer-refused');
    this.#failures = own.some(
      ({ code }) => code === 'kernel-refused' || code === 'not-settled' || code === 'gateway-taken',
    )
      ? this.#failures + 1
      : 0;
    if (own.length > 0) this.#health.set('unhealthy', own.map(({ message }) => message).join('; '));
    else if (pass.device) this.#health.set('ok', `${pass.routed} remote subnets`);
    else
      this.#health.set(
        'starting',
        'waiting for discovery.json; is the discovery service of this stack running with the same volume?',
      );
  }

  /** Writes router.json when it says something new, or is not what was written: the volume is shared. */
  async #publish(pass: Pass, problems: readonly Problem[]): Promise<void> {
    const { device, gatewayIp, subnets } = pass;
    const { tunnel } = this.#around!;
    const ready = device && gatewayIp !== undefined && (!tunnel || pass.tunnel);
    const plane: Plane = {
      version: 1,
      ...(this.#input && { stack_id: this.#input.self.stack_id }),
      subnets: ready ? [...subnets] : [],
      ...(ready && { gateway_ip: gatewayIp, vtep_mac: device.mac, vxlan_port: device.port, mtu: device.mtu }),
      ...(ready && pass.tunnel?.announced),
      underlay: this.#around!.underlay,
      ...(tunnel &&
        this.#config.encryption !== 'off' && { encryption: { mode: this.#config.encryption, engine: tunnel.engine } }),
      problems: problems.slice(0, 32).map(({ code, message }) => ({ code, message: message.slice(0, 1000) })),
    };
    // Before discovery has spoken there is nothing to announce, and the old file holds the port to come back to.
    if ((!ready && !this.#input) || (await this.#file.says(plane))) return;
    await this.#file.write(plane);
    if (ready) this.#remembered = { port: device.port, gateway: gatewayIp };
  }

  /** Names are a comfort: what keeps them from working is said, and keeps nothing else from working. */
  async #name({ device, gatewayIp, subnets, accepted }: Pass): Promise<void> {
    const { namesDomain } = this.#config;
    if (namesDomain === undefined || !device || gatewayIp === undefined || !this.#input || !accepted) return;
    this.#names ??= new (await import('../names/names.ts')).Names(namesDomain, this.#clock);
    const self = { stack_id: this.#input.self.stack_id, subnets, gateway_ip: gatewayIp };
    const began = await this.#names.update({ self, peers: accepted.peers }).catch((cause: Error) => {
      this.#limited('names', cause.message, 'error');
    });
    if (began) this.#log.info(`answers SERVICE.STACK.${namesDomain} on ${gatewayIp}`);
  }

  #limited(kind: string, text: string, level: 'warn' | 'error' = 'warn'): void {
    const held = this.#limiter.admit(kind, this.#clock.monotonic());
    if (held !== undefined) this.#log[level](held > 0 ? `${text} (and ${held} more like it)` : text);
  }
}
