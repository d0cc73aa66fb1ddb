/** The discovery daemon: sources -> peer table -> discovery.json, and router.json -> sources. */
import { uptime } from 'node:os';
import { join } from 'node:path';
import type { DiscoveryConfig } from '../config/discovery-config.ts';
import type { DiscoveryObservation } from '../metrics/discovery-observation.ts';
import { parsePrefix } from '../net/ipv4.ts';
import { PeerTable } from '../peers/table.ts';
import { type Clock, isoTime } from '../process/clock.ts';
import { HealthFile } from '../process/health.ts';
import { type Logger, LogLimiter } from '../process/log.ts';
import { parseJson, type StackRecord, samePlane } from '../record/record.ts';
import type { Source, SourceEvent } from '../sources/source.ts';
import { readCapped, removeLeftovers } from '../state/atomic-file.ts';
import {
  type DiscoveryFile,
  DiscoveryFileSchema,
  MAX_DISCOVERY_BYTES,
  type SourceState,
} from '../state/discovery-file.ts';
import { MAX_ROUTER_BYTES, type RouterFile, RouterFileSchema } from '../state/router-file.ts';
import { TrackedFile } from '../state/tracked-file.ts';
import { watchFile } from '../state/watch-file.ts';
import type { Trust } from '../trust/start.ts';
import { DroppedInput } from './dropped-input.ts';
import { FileWriter, REFRESH_MS } from './file-writer.ts';
import { healthOf } from './health.ts';
import { HostView } from './host.ts';
import { type InstanceIdentity, nextIdentity } from './identity.ts';
import { parting } from './parting.ts';
import { rememberedPeers } from './remembered.ts';
import { report, stoodIn } from './report.ts';
import { selfRecord } from './self-record.ts';

/** Timeouts are looked at this often. */
const TICK_MS = 1000;
/** The host's addresses and routes are looked at this often. */
const HOST_MS = 10_000;

export class DiscoveryDaemon {
  readonly #config: DiscoveryConfig;
  readonly #sources: readonly Source[];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #health: HealthFile;
  readonly #limiter = new LogLimiter();
  readonly #table = new PeerTable();
  readonly #host: HostView;
  readonly #file: FileWriter;
  readonly #routerFile: TrackedFile<RouterFile>;
  readonly #sourceStates = new Map<string, SourceState>();
  readonly #trust: Trust | undefined;
  readonly #dropped = new DroppedInput();
  readonly #stoppers: (() => void)[] = [];
  #observation: DiscoveryObservation | undefined;
  #identity: InstanceIdentity | undefined;
  #plane: RouterFile | undefined;
  #self: StackRecord | undefined;
  /** What stood when the process before this one ended. */
  #inherited: Pick<DiscoveryFile, 'peers'> | undefined;
  #deadline = Number.POSITIVE_INFINITY;
  /** When it was last looked for what is past its time. */
  #expiredAt = Number.NEGATIVE_INFINITY;
  #hostCheckedAt = Number.NEGATIVE_INFINITY;
  /** Its own file may have been changed since the last tick, by whomever. */
  #touched = false;
  #stopped = false;

  constructor(config: DiscoveryConfig, sources: readonly Source[], clock: Clock, log: Logger, trust?: Trust) {
    this.#trust = trust;
    this.#config = config;
    this.#sources = sources;
    this.#clock = clock;
    this.#log = log;
    this.#host = new HostView(config.hostIp);
    this.#health = new HealthFile(config.healthFile);
    this.#file = new FileWriter(join(config.stateDir, 'discovery.json'), {
      clock,
      log,
      warn: (kind, text) => this.#limited(kind, text),
      compose: (monotonicMs) => this.#self && this.#report(this.#self, monotonicMs),
      written: () => this.#updateHealth(),
    });
    this.#routerFile = new TrackedFile(join(config.stateDir, 'router.json'), MAX_ROUTER_BYTES, (text) =>
      parseJson(RouterFileSchema, text, MAX_ROUTER_BYTES),
    );
  }

  /** @throws when the health file or the shared volume cannot be used at all. */
  async start(): Promise<void> {
    this.#health.start();
    await removeLeftovers(this.#file.path);
    const last = await readCapped(this.#file.path, MAX_DISCOVERY_BYTES).catch(() => undefined);
    this.#identity = nextIdentity(last, this.#config.stackId, this.#clock.wall());
    this.#remember(last);
    const inherited = last === undefined ? undefined : parseJson(DiscoveryFileSchema, last, MAX_DISCOVERY_BYTES);
    this.#inherited = inherited?.ok ? inherited.value : undefined;
    this.#trust?.hold(this.#inherited?.peers ?? []);
    if (this.#config.metricsPort !== 'off') await this.#observe();
    const watcher = watchFile(this.#routerFile.path, () => void this.#lookAtRouter());
    const ownWatcher = watchFile(this.#file.path, () => {
      this.#touched = true;
    });
    const tick = setInterval(() => void this.#tick(), TICK_MS);
    this.#stoppers.push(
      () => watcher.close(),
      () => ownWatcher.close(),
      () => clearInterval(tick),
    );
    this.#trust?.start({
      changed: () => this.#file.changed(),
      reclose: () => this.#publish(),
    });
    await this.#lookAtRouter();
    await this.#tick();
  }

  async #observe(): Promise<void> {
    const { DiscoveryObservation } = await import('../metrics/discovery-observation.ts');
    this.#observation = new DiscoveryObservation({
      config: this.#config,
      log: this.#log,
      health: this.#health,
      knows: () => ({ file: this.#file.file, sources: this.#sourceStates, dropped: this.#dropped.kinds }),
    });
  }

  /** Until their sources have spoken, or PEER_TIMEOUT is over, the peers of the last file are still there. */
  #remember(last: string | undefined): void {
    const { stackId, modes, peerTimeoutMs } = this.#config;
    const mostAgeMs = peerTimeoutMs + REFRESH_MS;
    const lifetime = { staleAfterMs: peerTimeoutMs / 3, expireAfterMs: peerTimeoutMs };
    const now = this.#clock.monotonic();
    for (const { source, record } of rememberedPeers(last, {
      stackId,
      modes,
      wallMs: this.#clock.wall(),
      uptimeS: uptime(),
      mostAgeMs,
    }))
      this.#table.upsert(source, record, now, lifetime);
    this.#deadline = this.#table.nextDeadline(now);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const stop of this.#stoppers) stop();
    this.#file.stop();
    const how = await parting(async () => {
      await this.#lookAtRouter();
      return this.#plane;
    });
    this.#log.info(how === 'goodbye' ? 'saying goodbye' : 'leaving quietly: the router goes on');
    await Promise.all(this.#sources.map((source) => source.stop(how)));
    this.#trust?.stop();
    this.#observation?.stop();
    await this.#file.settled();
    this.#health.stop();
  }

  async #tick(): Promise<void> {
    const now = this.#clock.monotonic();
    this.#trust?.refresh();
    if (this.#host.address === undefined || now - this.#hostCheckedAt >= HOST_MS) await this.#lookAtHost();
    if (now >= this.#deadline && this.#isPast(now)) {
      this.#table.expire(now);
      this.#deadline = this.#table.nextDeadline(now);
      this.#file.changed();
    } else if (this.#file.isDue(now)) this.#file.changed();
    // At the tick and not at each event: whoever writes into the file without end does not make this daemon write as often.
    if (this.#touched) this.#file.inspect();
    this.#touched = false;
    this.#updateHealth();
  }

  /** Whoever was heard of again since the deadline was set has another one, and composing a file for nothing costs more than a look. */
  #isPast(now: number): boolean {
    this.#deadline = this.#table.nextDeadline(this.#expiredAt);
    this.#expiredAt = now;
    return now >= this.#deadline;
  }

  async #lookAtHost(): Promise<void> {
    this.#hostCheckedAt = this.#clock.monotonic();
    const before = this.#host.signature;
    const news = await this.#host.refresh();
    if (this.#host.signature !== before) this.#file.changed();
    if (news !== undefined) this.#log.info(news);
    this.#republish();
    await this.#observation?.serve();
  }

  async #lookAtRouter(): Promise<void> {
    const look = await this.#routerFile.look();
    if (look.kind === 'bad')
      return this.#limited('router.json', `router.json ignored, the last good one stays: ${look.error}`);
    if (look.kind !== 'good') return;
    const { stack_id } = look.value;
    if (stack_id !== undefined && stack_id !== this.#config.stackId) {
      this.#log.info(`router.json is of stack ${stack_id}; waiting for this stack's router`);
      return;
    }
    this.#plane = look.value;
    this.#republish();
  }

  /** Builds this stack's record from what is known and hands it to the sources when it says something new. */
  #republish(): void {
    if (this.#host.address === undefined || !this.#identity || this.#stopped) return;
    const next = selfRecord({
      config: this.#config,
      identity: this.#identity,
      hostIp: this.#host.address,
      plane: this.#plane,
      seq: (this.#self?.seq ?? 0) + 1,
    });
    if (this.#self && samePlane(this.#self, next)) return;
    const first = this.#self === undefined;
    this.#self = next;
    this.#log.info(
      `announcing ${next.stack_id} on VNI ${next.vni}: ${next.subnets.join(', ') || 'no subnets (no router yet)'}`,
    );
    for (const source of this.#sources) {
      source.publish(next);
      if (first) source.start((event) => this.#onEvent(source.name, event));
    }
    this.#file.changed();
  }

  /** The same record once more, to be closed anew: its seal ends in time, or the keys are others. */
  #publish(): void {
    if (!this.#self || this.#stopped) return;
    this.#self = { ...this.#self };
    for (const source of this.#sources) source.publish(this.#self);
  }

  #onEvent(source: string, event: SourceEvent): void {
    if (this.#stopped) return;
    const now = this.#clock.monotonic();
    if (event.type === 'dropped') {
      const kind = `${source} ${event.kind}`;
      if (this.#dropped.count(kind, this.#clock.wall())) this.#file.changed();
      return this.#limited(kind, `${source}: ${event.kind} ${event.message}`);
    }
    if (event.type === 'state') return this.#onState(source, event);
    if (event.type === 'deaf') {
      this.#table.putOff(source, event.forMs);
      return this.#limited(`${source} deaf`, `${source}: ${event.message}`);
    }
    if (!this.#store(source, event, now)) return;
    // Scanning thousands of rows for every event would cost more than looking at the next tick.
    const next = this.#table.size < 1000 ? this.#table.nextDeadline(now) : now + TICK_MS;
    this.#deadline = Math.min(this.#deadline, next);
    this.#file.changed();
  }

  /** Returns whether the table now says something new. */
  #store(
    source: string,
    event: Extract<SourceEvent, { type: 'upsert' | 'remove' | 'snapshot' }>,
    now: number,
  ): boolean {
    if (event.type === 'remove') return this.#table.remove(source, event.gone, now, event.fadeMs);
    if (event.type === 'snapshot') {
      this.#table.snapshot(source, event.records, now, event.lifetime, event.fadeMs);
      return true;
    }
    const outcome = this.#table.upsert(source, event.record, now, event.lifetime);
    if (outcome === 'full') {
      this.#limited(
        'table full',
        `peer ${event.record.stack_id} ignored: too many stacks, or too many claims to its id`,
      );
    }
    return outcome === 'new' || outcome === 'changed';
  }

  #onState(source: string, event: Extract<SourceEvent, { type: 'state' }>): void {
    const { ok, message } = event;
    const state = ok ? 'ok' : 'failing';
    const before = this.#sourceStates.get(source);
    if (before?.state !== state || before.message !== message) {
      this.#log[ok ? 'info' : 'error'](`${source}: ${message ?? state}`);
      const since = before?.state === state ? before.since : isoTime(this.#clock.wall());
      this.#sourceStates.set(source, { state, since, ...(message && { message: message.slice(0, 500) }) });
    }
    this.#table.setReachable(source, event.ok || event.seeing === true, this.#clock.monotonic());
    this.#updateHealth();
    this.#file.changed();
  }

  #report(self: StackRecord, monotonicMs: number): DiscoveryFile {
    const file = report({
      self,
      interfaceName: this.#host.interfaceName,
      underlayMtu: this.#host.mtu,
      hostAddresses: this.#host.networks.map(({ address }) => address),
      bridgesFilter: this.#host.bridgesFilter,
      modes: this.#config.modes,
      known: this.#table.view(monotonicMs),
      sources: Object.fromEntries(this.#sourceStates),
      policy: {
        allowedSubnets: this.#config.allowedSubnets.flatMap((text) => parsePrefix(text) ?? []),
        hostNetworks: this.#host.networks,
        established: stoodIn(this.#file.file, this.#inherited),
        ...this.#trust?.policy,
      },
      filter: { allow: this.#config.allowStacks, deny: this.#config.denyStacks },
      refused: this.#trust?.refused(monotonicMs - this.#config.peerTimeoutMs) ?? [],
      dropped: Object.fromEntries(this.#dropped.kinds),
      wallMs: this.#clock.wall(),
      uptimeS: uptime(),
      monotonicMs,
    });
    this.#trust?.hold(file.peers);
    return file;
  }

  #updateHealth(): void {
    const health = healthOf({
      hostAddress: this.#host.address,
      writeError: this.#file.error,
      states: this.#sourceStates,
      sources: this.#sources.length,
      file: this.#file.file,
    });
    if (health) this.#health.set(health.status, health.message);
  }

  #limited(kind: string, text: string): void {
    const held = this.#limiter.admit(kind, this.#clock.monotonic());
    if (held !== undefined) this.#log.warn(held > 0 ? `${text} (and ${held} more like it)` : text);
  }
}
