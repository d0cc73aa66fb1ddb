/**
 * The encrypted underlay. One WireGuard device carries the traffic; when the key is renewed a second one, with the new key and a port of
 * its own, stands beside it until nobody needs the first (docs/decisions/0025). Loaded only with ENCRYPTION=wireguard or required.
 */
import type { RouterConfig } from '../config/router-config.ts';
import { INNER_RANGE, innerAddress, type TunnelPeer, tunnelPeers } from '../desired/tunnel.ts';
import type { Observed } from '../kernel/observed.ts';
import { SEAL_PROTOCOL, WG_DEVICES } from '../kernel/owned.ts';
import type { WgDevice } from '../kernel/parse-wg.ts';
import {
  addPeers,
  createTunnel,
  deleteTunnel,
  type Engine,
  findEngine,
  newKeys,
  observeTunnels,
  removePeers,
} from '../kernel/wireguard.ts';
import { type InnerRoute, innerRoutePlan, peerPlan } from '../plan/tunnel-plan.ts';
import type { Clock } from '../process/clock.ts';
import { runOk } from '../process/run.ts';
import type { PeerEntry } from '../state/discovery-file.ts';

/** WireGuard's REJECT_AFTER_TIME: a session with the old key can be that old. Also how long a peer's replaced key is accepted. */
const GRACE_MS = 180_000;
/** While peers move from the old key to the new one, the kernel is looked at this often. */
const MOVING_MS = 200;
/** A peer that has not moved by then is away; it is looked at like everybody else. */
const MOVE_MS = 15_000;
/** wireguard-go may die without anybody being told. */
const WATCH_MS = 2000;

export interface TunnelState {
  readonly publicKey: string;
  readonly port: number;
  readonly engine: Engine;
}

interface Own {
  readonly privateKey: string;
  readonly publicKey: string;
  readonly port: number;
  /** Monotonic time from which its age counts. */
  readonly since: number;
}

export class Tunnel {
  readonly #config: RouterConfig;
  readonly #clock: Clock;
  readonly #underlay: 'host' | 'published';
  readonly #engine: Engine;
  readonly #own = new Map<string, Own>();
  /** Endpoints as they were set last, by device and key. */
  readonly #announced = new Map<string, Map<string, string>>();
  /** Key of each peer, and keys that peers had before and that are still accepted. */
  #keys = new Map<string, string>();
  readonly #replaced = new Map<string, { readonly peer: TunnelPeer; readonly until: number }>();
  #current: string | undefined;
  #retiring: { readonly name: string; readonly until: number } | undefined;
  #movingUntil = Number.NEGATIVE_INFINITY;

  private constructor(config: RouterConfig, clock: Clock, underlay: 'host' | 'published', engine: Engine) {
    this.#config = config;
    this.#clock = clock;
    this.#underlay = underlay;
    this.#engine = engine;
  }

  /** undefined when this container can encrypt nothing, for want of a device file. */
  static async open(
    config: RouterConfig,
    clock: Clock,
    underlay: 'host' | 'published',
    announcedKey: string | undefined,
  ): Promise<Tunnel | undefined> {
    const engine = await findEngine();
    if (!engine) return undefined;
    const tunnel = new Tunnel(config, clock, engine === 'kernel' ? underlay : 'published', engine);
    tunnel.#adopt(await observeTunnels(), announcedKey);
    return tunnel;
  }

  get engine(): Engine {
    return this.#engine;
  }

  /** Where WireGuard's UDP socket is: wireguard-go's is always in this container. */
  get underlay(): 'host' | 'published' {
    return this.#underlay;
  }

  /** Milliseconds until the next pass has something to do that no file announces. */
  get nextLook(): number {
    const now = this.#clock.monotonic();
    if (now < this.#movingUntil) return MOVING_MS;
    const renewal = (this.#own.get(this.#current ?? '')?.since ?? now) + this.#config.keyLifetimeMs;
    const due = Math.min(this.#retiring?.until ?? renewal, renewal) - now;
    return Math.max(MOVING_MS, Math.min(due, this.#engine === 'wireguard-go' ? WATCH_MS : due));
  }

  /** Devices that an earlier process of this container left: their keys are in them and nowhere else. */
  #adopt(devices: ReadonlyMap<string, WgDevice>, announcedKey: string | undefined): void {
    const since = this.#clock.monotonic();
    for (const [name, { privateKey, publicKey, port }] of devices)
      if (privateKey && publicKey) this.#own.set(name, { privateKey, publicKey, port, since });
    const names = [...this.#own.keys()];
    this.#current = names.find((name) => this.#own.get(name)!.publicKey === announcedKey) ?? names[0];
    const other = names.find((name) => name !== this.#current);
    if (other) this.#retiring = { name: other, until: since + GRACE_MS };
  }

  #ports(name: string): number[] {
    const { wgPort } = this.#config;
    const before = this.#own.get(name)?.port;
    const others = [...this.#own].filter(([other]) => other !== name).map(([, { port }]) => port);
    const first = wgPort === 'auto' ? 51_820 : wgPort;
    // A published port is one that the compose file names: two, so that a key can be renewed.
    const count = this.#underlay === 'published' || wgPort !== 'auto' ? WG_DEVICES.length : 64;
    const usual = Array.from({ length: count }, (_, i) => first + i);
    return [...new Set([...(before === undefined ? [] : [before]), ...usual])].filter((port) => !others.includes(port));
  }

  async #create(name: string, mtu: number, fresh: boolean): Promise<string> {
    const kept = fresh ? undefined : this.#own.get(name);
    const keys = kept ?? (await newKeys());
    const address = innerAddress(keys.publicKey);
    const underlay = this.#underlay === 'host' ? this.#config.handle.replace('/run/netns/', '') : undefined;
    const device = { name, engine: this.#engine, underlay, privateKey: keys.privateKey, address, mtu };
    const port = await createTunnel(device, this.#ports(name));
    this.#announced.delete(name);
    this.#own.set(name, { ...keys, port, since: kept?.since ?? this.#clock.monotonic() });
    return `created ${name} (${this.#engine} WireGuard, ${this.#underlay} underlay, UDP port ${port}, MTU ${mtu}, ${kept ? 'its key kept' : 'new key'})`;
  }

  /** Makes the devices, and a new key when the old one is due. @throws CommandError or Error when the kernel refuses. */
  async ensure(mtu: number, observed: Observed): Promise<{ state: TunnelState; notes: string[] }> {
    const notes: string[] = [];
    const now = this.#clock.monotonic();
    await this.#seal(observed);
    const has = (name: string) => observed.links.some((link) => link.name === name);
    const current = this.#current ?? WG_DEVICES[0];
    if (!has(current)) notes.push(await this.#create(current, mtu, false));
    this.#current = current;
    if (this.#retiring && (now >= this.#retiring.until || !has(this.#retiring.name))) {
      await this.#retire(this.#retiring.name);
      notes.push(`the key before is no longer accepted, ${this.#retiring.name} removed`);
      this.#retiring = undefined;
    } else if (!this.#retiring && now >= this.#own.get(current)!.since + this.#config.keyLifetimeMs) {
      const next = WG_DEVICES.find((name) => name !== current)!;
      notes.push(`key renewed: ${await this.#create(next, mtu, true)}`);
      const grace = Math.min(GRACE_MS, this.#config.keyLifetimeMs / 2);
      this.#retiring = { name: current, until: this.#clock.monotonic() + grace };
      this.#current = next;
      this.#movingUntil = now + MOVE_MS;
    }
    await batch(this.#repairs(mtu, observed));
    const { publicKey, port } = this.#own.get(this.#current)!;
    return { state: { publicKey, port, engine: this.#engine }, notes };
  }

  /** What somebody took from devices that are there. */
  #repairs(mtu: number, { links, addresses }: Observed): string[] {
    return [...this.#own].flatMap(([name, { publicKey }]) => {
      const link = links.find((found) => found.name === name);
      if (!link) return [];
      const inner = innerAddress(publicKey);
      const there = addresses.some(({ device, address }) => device === name && address === inner);
      return [
        ...(there ? [] : [`address add ${inner}/32 dev ${name}`]),
        ...(link.mtu === mtu && link.up ? [] : [`link set dev ${name} mtu ${mtu} up`]),
      ];
    });
  }

  /** Without a route inside, what is meant for there is refused instead of following the default route. */
  async #seal({ routes }: Observed): Promise<void> {
    const there = routes.some(
      ({ destination, protocol }) => destination === INNER_RANGE && protocol === String(SEAL_PROTOCOL),
    );
    if (!there) await runOk(['ip', 'route', 'add', 'unreachable', INNER_RANGE, 'proto', String(SEAL_PROTOCOL)]);
  }

  async #retire(name: string): Promise<void> {
    await deleteTunnel(name);
    this.#own.delete(name);
    this.#announced.delete(name);
  }

  /** Peers as WireGuard shall have them: those of now, and the keys that some of them had a moment ago. */
  #wanted(peers: readonly PeerEntry[]): Map<string, TunnelPeer> {
    const now = this.#clock.monotonic();
    const want = tunnelPeers(peers);
    const keys = new Map(peers.flatMap((peer) => (peer.wg_public_key ? [[peer.stack_id, peer.wg_public_key]] : [])));
    for (const [stack, key] of this.#keys) {
      const device = this.#announced.get(this.#current ?? '');
      const endpoint = device?.get(key);
      if (keys.has(stack) && keys.get(stack) !== key && endpoint !== undefined)
        this.#replaced.set(key, { peer: { endpoint, inner: innerAddress(key) }, until: now + GRACE_MS });
    }
    this.#keys = keys;
    for (const [key, { peer, until }] of this.#replaced) {
      if (until <= now || want.has(key)) this.#replaced.delete(key);
      else want.set(key, peer);
    }
    return want;
  }

  /**
   * Gives WireGuard its peers and the routes to them. What is no longer wanted is removed by the function that is returned, after the
   * overlay no longer points there. @throws CommandError when the kernel refuses.
   */
  async program(peers: readonly PeerEntry[], observed: Observed): Promise<() => Promise<void>> {
    const want = this.#wanted(peers);
    const devices = await observeTunnels();
    const removals: (() => Promise<void>)[] = [];
    for (const [name, device] of devices) {
      const announced = this.#announced.get(name) ?? new Map<string, string>();
      this.#announced.set(name, announced);
      const { add, remove } = peerPlan(want, device, announced);
      await addPeers(name, add);
      for (const [key, { endpoint }] of want) announced.set(key, endpoint);
      removals.push(async () => {
        await removePeers(name, remove);
        for (const key of remove) announced.delete(key);
      });
    }
    const { add, remove } = innerRoutePlan(this.#routes(want, devices), observed.routes);
    await batch(add);
    removals.push(() => batch(remove));
    return async () => {
      for (const removal of removals.reverse()) await removal();
    };
  }

  /** By the new device to whoever has shown that it knows the new key, by the old one to the others. */
  #routes(want: ReadonlyMap<string, TunnelPeer>, devices: ReadonlyMap<string, WgDevice>): Map<string, InnerRoute> {
    const current = this.#current!;
    const previous = this.#retiring?.name;
    const routes = new Map<string, InnerRoute>();
    let moving = false;
    for (const [key, { inner }] of want) {
      const met = (name: string | undefined) => (devices.get(name ?? '')?.peers.get(key)?.handshake ?? 0) > 0;
      const behind = previous !== undefined && !met(current) && met(previous);
      moving ||= behind && !this.#replaced.has(key);
      const device = behind ? previous : current;
      const own = this.#own.get(device);
      if (own) routes.set(inner, { device, source: innerAddress(own.publicKey) });
    }
    if (!moving) this.#movingUntil = Number.NEGATIVE_INFINITY;
    return routes;
  }
}

async function batch(lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await runOk(['ip', '-batch', '-'], `${lines.join('\n')}\n`);
}
