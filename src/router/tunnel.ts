/**
 * The encrypted path: two WireGuard devices, one for each slot, of which one carries the traffic while the other gets a new key
 * (docs/decisions/0025). Loaded only with ENCRYPTION=wireguard or required.
 */
import type { RouterConfig } from '../config/router-config.ts';
import { activeSlot, dueSlot, outOfPatience, renewalOffset, turnAt, untilChange } from '../desired/key-turns.ts';
import { isRoutable } from '../desired/overlay.ts';
import {
  announcedSlots,
  otherSlot,
  type PerSlot,
  SLOTS,
  type Slot,
  sendingSlot,
  slotKeys,
  tunnelPeers,
} from '../desired/tunnel.ts';
import { ipBatch } from '../kernel/apply.ts';
import type { Observed } from '../kernel/observed.ts';
import { WG_DEVICES } from '../kernel/owned.ts';
import type { WgDevice, WgPeer } from '../kernel/parse-wg.ts';
import {
  addPeers,
  createTunnel,
  deleteTunnel,
  type Engine,
  findEngine,
  newKeys,
  observeTunnels,
  removePeers,
  setKey,
} from '../kernel/wireguard.ts';
import { peerPlan, sealPlan, tunnelRoutePlan } from '../plan/tunnel-plan.ts';
import type { Clock } from '../process/clock.ts';
import { runOk } from '../process/run.ts';
import type { PeerEntry } from '../state/discovery-file.ts';

/** A session is renewed every two minutes and ends after three (WireGuard's REJECT_AFTER_TIME): older handshakes say that nobody is there. */
const SESSION_MS = 180_000;
/** While traffic is to move from one slot to the other, the kernel is looked at this often. */
const MOVING_MS = 200;
/** A peer that has not moved by then is away; it is looked at like everybody else. */
const MOVE_MS = 15_000;
/** A timer may fire a moment early. */
const SOON_MS = 50;
/** wireguard-go may die without anybody being told. */
const WATCH_MS = 2000;

export interface TunnelState {
  /** What the record says of the slots. */
  readonly announced: ReturnType<typeof announcedSlots>;
  readonly engine: Engine;
}

interface Own {
  readonly privateKey: string;
  readonly publicKey: string;
  readonly port: number;
  /** Turn in which the key was made. */
  readonly turn: number;
}

export class Tunnel {
  readonly #config: RouterConfig;
  readonly #clock: Clock;
  readonly #underlay: 'host' | 'published';
  readonly #engine: Engine;
  readonly #own: [Own | undefined, Own | undefined] = [undefined, undefined];
  /** Endpoints as they were set last, by slot and key. */
  readonly #announced: PerSlot<Map<string, string>> = [new Map(), new Map()];
  #offsetMs = 0;
  /** The slot that is about to be renewed: this stack no longer sends by it. */
  #avoided: Slot | undefined;
  /** Slots that are the only way to some peer. */
  #needed: PerSlot<boolean> = [false, false];
  /** What decides by which slots traffic goes, as it was last. */
  #intent = '';
  #movingUntil = Number.NEGATIVE_INFINITY;

  private constructor(config: RouterConfig, clock: Clock, underlay: 'host' | 'published', engine: Engine) {
    this.#config = config;
    this.#clock = clock;
    this.#underlay = underlay;
    this.#engine = engine;
  }

  /** undefined when this container can encrypt nothing, for want of a device file. */
  static async open(config: RouterConfig, clock: Clock, underlay: 'host' | 'published'): Promise<Tunnel | undefined> {
    const engine = await findEngine();
    if (!engine) return undefined;
    const tunnel = new Tunnel(config, clock, engine === 'kernel' ? underlay : 'published', engine);
    tunnel.#adopt(await observeTunnels());
    return tunnel;
  }

  get engine(): Engine {
    return this.#engine;
  }

  /** Where WireGuard's UDP sockets are: wireguard-go's are always in this container. */
  get underlay(): 'host' | 'published' {
    return this.#underlay;
  }

  /** Milliseconds until the next pass has something to do that no file announces. */
  get nextLook(): number {
    if (this.#avoided !== undefined || this.#clock.monotonic() < this.#movingUntil) return MOVING_MS;
    const due = untilChange(this.#clock.wall(), this.#config.keyLifetimeMs, this.#offsetMs);
    return Math.max(SOON_MS, Math.min(due, this.#engine === 'wireguard-go' ? WATCH_MS : due));
  }

  get #turn(): number {
    return turnAt(this.#clock.wall(), this.#config.keyLifetimeMs, this.#offsetMs);
  }

  /** Devices that an earlier process of this container left: their keys are in them and nowhere else. Their age counts from now. */
  #adopt(devices: ReadonlyMap<string, WgDevice>): void {
    for (const slot of SLOTS) {
      const { privateKey, publicKey, port } = devices.get(WG_DEVICES[slot]) ?? {};
      if (privateKey && publicKey && port) this.#own[slot] = { privateKey, publicKey, port, turn: Number.NaN };
    }
  }

  #ports(slot: Slot): number[] {
    const { wgPort } = this.#config;
    const first = wgPort === 'auto' ? 51_820 : wgPort;
    // A published port is one that the compose file names: two, one for each slot.
    if (this.#underlay === 'published' || wgPort !== 'auto') return [first + slot];
    // Pairs: a host's second stack has 51822 and 51823.
    const usual = Array.from({ length: 32 }, (_, i) => first + slot + 2 * i);
    return [...new Set([this.#own[slot]?.port ?? first + slot, ...usual])];
  }

  async #create(slot: Slot, mtu: number): Promise<string> {
    const kept = this.#own[slot];
    const keys = kept ?? { ...(await newKeys()), turn: this.#turn };
    const name = WG_DEVICES[slot];
    const underlay = this.#underlay === 'host' ? this.#config.handle.replace('/run/netns/', '') : undefined;
    const device = { name, engine: this.#engine, underlay, privateKey: keys.privateKey, mtu };
    const port = await createTunnel(device, this.#ports(slot));
    this.#announced[slot].clear();
    this.#own[slot] = { ...keys, port };
    return `created ${name} (${this.#engine} WireGuard, ${this.#underlay} underlay, UDP port ${port}, MTU ${mtu}, ${kept ? 'its key kept' : 'new key'})`;
  }

  /**
   * Makes the devices, and a new key when one is due.
   * @param stackId from which it follows when that is
   * @throws CommandError or Error when the kernel refuses.
   */
  async ensure(mtu: number, { links }: Observed, stackId: string): Promise<{ state: TunnelState; notes: string[] }> {
    const notes: string[] = [];
    this.#offsetMs = renewalOffset(stackId, this.#config.keyLifetimeMs);
    for (const slot of SLOTS) {
      const own = this.#own[slot];
      if (own && Number.isNaN(own.turn)) this.#own[slot] = { ...own, turn: this.#turn };
      const link = links.find(({ name }) => name === WG_DEVICES[slot]);
      // Without a key nobody finished making it.
      if (link && !own) await deleteTunnel(link.name);
      if (!link || !own) notes.push(await this.#create(slot, mtu));
      else if (link.mtu !== mtu || !link.up) {
        await runOk(['ip', 'link', 'set', 'dev', link.name, 'mtu', String(mtu), 'up']);
        notes.push(`adjusted ${link.name}: MTU ${mtu}, up`);
      }
    }
    const renewed = await this.#renew();
    if (renewed) notes.push(renewed);
    const own = this.#own as PerSlot<Own>;
    const active = activeSlot(this.#clock.wall(), this.#config.keyLifetimeMs);
    return { state: { announced: announcedSlots(own, active), engine: this.#engine }, notes };
  }

  /** In one pass what is sent by the slot is moved away, in a later one its key is replaced. */
  async #renew(): Promise<string | undefined> {
    const wall = this.#clock.wall();
    const { keyLifetimeMs } = this.#config;
    const own = this.#own as PerSlot<Own>;
    const due = dueSlot(wall, keyLifetimeMs, this.#offsetMs, [own[0].turn, own[1].turn]);
    const before = this.#avoided;
    this.#avoided = due;
    if (due === undefined || due !== before) return undefined;
    if (this.#needed[due] && !outOfPatience(wall, keyLifetimeMs, this.#offsetMs)) return undefined;
    const keys = await newKeys();
    await setKey(WG_DEVICES[due], keys.privateKey, own[due].port);
    this.#own[due] = { ...keys, port: own[due].port, turn: this.#turn };
    this.#announced[due].clear();
    this.#avoided = undefined;
    return `key of ${WG_DEVICES[due]} renewed`;
  }

  /**
   * Gives WireGuard its peers and the kernel the routes to them, and takes away what is no longer wanted. Add before delete.
   * Returns what the kernel refused. @throws CommandError when WireGuard refuses.
   */
  async program(peers: readonly PeerEntry[], observed: Observed): Promise<string[]> {
    const devices = await observeTunnels();
    const gone: [string, readonly string[]][] = [];
    for (const slot of SLOTS) {
      const device = devices.get(WG_DEVICES[slot]);
      if (!device) continue;
      const want = tunnelPeers(peers, slot);
      const { add, remove } = peerPlan(want, device, this.#announced[slot]);
      await addPeers(WG_DEVICES[slot], add);
      this.#announced[slot].clear();
      for (const [key, { endpoint }] of want) this.#announced[slot].set(key, endpoint);
      gone.push([WG_DEVICES[slot], remove]);
    }
    const want = this.#routes(peers.filter(isRoutable), devices);
    const routes = tunnelRoutePlan(want, observed.routes);
    // With `required` there is a seal for every stack that was ever known, and it stays.
    const seals = this.#config.encryption === 'required' ? undefined : sealPlan([...want.keys()], observed.routes);
    const lines = [...(seals?.add ?? []), ...routes.add, ...routes.remove, ...(seals?.remove ?? [])];
    const failures = lines.length === 0 ? [] : await ipBatch(lines);
    for (const [name, keys] of gone) await removePeers(name, keys);
    return failures;
  }

  /** The device by which each subnet is reached. */
  #routes(peers: readonly PeerEntry[], devices: ReadonlyMap<string, WgDevice>): Map<string, string> {
    const alive = (peer: WgPeer | undefined) => (peer?.handshake ?? 0) * 1000 > this.#clock.wall() - SESSION_MS;
    const needed: [boolean, boolean] = [false, false];
    const routes = new Map<string, string>();
    let behind = false;
    for (const peer of peers) {
      const met = slotKeys(peer).map((key, slot) =>
        alive(devices.get(WG_DEVICES[slot]!)?.peers.get(key?.publicKey ?? '')),
      ) as unknown as PerSlot<boolean>;
      const slot = sendingSlot(peer, met, this.#avoided);
      for (const one of SLOTS) needed[one] ||= met[one] && !met[otherSlot(one)];
      behind ||= !met[0] || !met[1];
      for (const subnet of peer.subnets) routes.set(subnet, WG_DEVICES[slot]);
    }
    this.#needed = needed;
    this.#follow(peers, behind);
    return routes;
  }

  /** After a change of keys or slots the handshakes are waited for. */
  #follow(peers: readonly PeerEntry[], behind: boolean): void {
    const keys = peers.map(({ wg_public_key, wg_other_public_key }) => `${wg_public_key} ${wg_other_public_key}`);
    const intent = [this.#own[0]?.publicKey, this.#own[1]?.publicKey, ...keys].join();
    if (intent !== this.#intent) this.#movingUntil = this.#clock.monotonic() + MOVE_MS;
    else if (!behind) this.#movingUntil = Number.NEGATIVE_INFINITY;
    this.#intent = intent;
  }
}
