/** Discovery by gossip: a Serf agent of this stack's own, whose members carry the stacks' records as tags. No server. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiscoveryConfig } from '../../config/discovery-config.ts';
import type { GossipConfig } from '../../config/gossip-config.ts';
import type { StackRecord } from '../../record/record.ts';
import type { Envelope } from '../../trust/envelope.ts';
import type { Parting, Source, SourceEvent } from '../source.ts';
import { printable, readMembers, type Stranger } from './members.ts';
import { readMemory, writeMemory } from './memory-file.ts';
import { Pause } from './pause.ts';
import { type Memory, remember } from './rejoin.ts';
import { Roster } from './roster.ts';
import { Session } from './session.ts';
import { recordTags, TagReader } from './tags.ts';

/** Pauses before an agent that ended is started again; the last one for ever. */
const RESTART_MS = [250, 1000, 2000, 5000, 10_000, 30_000] as const;
/** An agent that ran for so long counts as one that works. */
const STABLE_MS = 30_000;
/** The addresses of the others are written at most this often. */
const SAVE_MS = 5000;
const STRANGERS_A_LOOK = 5;

export interface GossipPlaces {
  /** Folder for the agent's files, on a tmpfs and of this source alone: they hold secrets. */
  readonly folder: string;
  /** File for the addresses of the others. */
  readonly memory: string;
}

export class GossipSource implements Source {
  readonly name = 'gossip';
  readonly #config: GossipConfig;
  readonly #places: GossipPlaces;
  readonly #roster = new Roster();
  readonly #envelope: Envelope | undefined;
  readonly #tags: TagReader;
  readonly #pause = new Pause();
  readonly #stopping = new AbortController();
  #emit: (event: SourceEvent) => void = () => undefined;
  #record: StackRecord | undefined;
  /** The record that the running agent was started with. */
  #started: StackRecord | undefined;
  #running = false;
  #parting: Parting = 'goodbye';
  #loop: Promise<void> | undefined;
  #session: Session | undefined;
  #lastPort: number | undefined;
  #memory: Memory = new Map();
  #saved = '';
  #savedAt = Number.NEGATIVE_INFINITY;
  #strangers = new Map<string, string>();
  #state: { ok: boolean; message: string } | undefined;
  /** Why the record that was published last is not announced. */
  #unfit: string | undefined;

  constructor(config: GossipConfig, places: GossipPlaces, envelope?: Envelope) {
    this.#config = config;
    this.#places = places;
    this.#envelope = envelope;
    this.#tags = new TagReader(envelope);
  }

  start(emit: (event: SourceEvent) => void): void {
    this.#emit = emit;
    this.#running = true;
    this.#begin();
  }

  publish(record: StackRecord): void {
    this.#record = record;
    this.#begin();
    const tags = recordTags(record, this.#envelope);
    this.#unfit = tags.ok ? undefined : tags.error;
    const moved = this.#started !== undefined && this.#started.host_ip !== record.host_ip;
    if (moved) void this.#session?.close();
    else if (tags.ok) this.#session?.write(tags.value);
    // A record that fits now is announced at once, not after the pause of one that did not.
    this.#pause.wake();
    if (this.#session) this.#report(this.#session);
  }

  async stop(how: Parting = 'goodbye'): Promise<void> {
    this.#emit = () => undefined;
    this.#running = false;
    this.#stopping.abort();
    this.#pause.close();
    this.#parting = how;
    if (how === 'goodbye') await this.#session?.leave();
    await this.#session?.close();
    await this.#loop;
    if (!this.#loop) return;
    await writeMemory(this.#places.memory, this.#memory);
    await rm(this.#places.folder, { recursive: true, force: true });
  }

  #begin(): void {
    if (!this.#running || !this.#record) return;
    this.#loop ??= this.#run();
  }

  /** Keeps an agent running until the source is stopped. */
  async #run(): Promise<void> {
    this.#memory = await readMemory(this.#places.memory);
    let failures = 0;
    while (this.#running) {
      const begin = performance.now();
      const end = await this.#live().catch((cause: Error) => cause);
      if (!this.#running) return;
      if (end === 'moved') continue;
      failures = performance.now() - begin > STABLE_MS ? 1 : failures + 1;
      const pause = RESTART_MS[Math.min(failures, RESTART_MS.length) - 1]!;
      const reason = end instanceof Error ? end.message : end;
      this.#setState(false, `${reason}; trying again in ${pause / 1000} s, the peers stay until then`);
      await this.#pause.wait(pause);
    }
  }

  /** One agent from its start to its end. @returns why it ended. @throws Error in plain words when it does not start. */
  async #live(): Promise<string> {
    const record = this.#record!;
    const tags = recordTags(record, this.#envelope);
    if (!tags.ok) throw new Error(tags.error);
    this.#started = record;
    const { folder } = this.#places;
    const hooks = {
      members: (members: readonly unknown[]) => this.#look(members),
      stranger: (kind: string, message: string) => this.#emit({ type: 'dropped', kind, message }),
    };
    const order = {
      config: this.#config,
      record,
      tags: tags.value,
      folder,
      lastPort: this.#lastPort,
      hooks,
      anonymous: this.#envelope?.seals === true,
    };
    const session = await Session.open(order, this.#stopping.signal);
    if (!this.#running) {
      if (this.#parting === 'goodbye') await session.leave();
      await session.close();
      return 'stopped';
    }
    this.#session = session;
    this.#lastPort = session.port;
    this.#roster.begin(performance.now(), this.#memory.size > 0);
    // Published while the agent started.
    if (this.#record !== record) this.publish(this.#record!);
    const reason = await session.ended;
    this.#session = undefined;
    await session.close();
    return this.#record!.host_ip === record.host_ip ? reason : 'moved';
  }

  #look(members: readonly unknown[]): void {
    const session = this.#session;
    if (!session || !this.#running) return;
    const view = readMembers(members, this.#record!, this.#tags.read);
    this.#tags.turn();
    const now = performance.now();
    for (const event of this.#roster.update(view, now)) this.#emit(event);
    this.#reportStrangers(view.strangers);
    this.#memory = remember(this.#memory, view.stacks, view.left, Date.now());
    session.see(view, this.#memory);
    this.#report(session);
    this.#save(now);
  }

  #save(now: number): void {
    const places = [...this.#memory].map(([key, { endpoint }]) => `${key} ${endpoint}`).join('\n');
    if (places === this.#saved || now < this.#savedAt + SAVE_MS) return;
    this.#saved = places;
    this.#savedAt = now;
    void writeMemory(this.#places.memory, this.#memory);
  }

  /** Each of them once, however often the members are looked at. */
  #reportStrangers(strangers: readonly Stranger[]): void {
    const fresh = strangers.filter(({ name, problem }) => this.#strangers.get(name) !== problem);
    for (const { name, kind, problem } of fresh.slice(0, STRANGERS_A_LOOK)) {
      const what = kind === 'no stack' ? 'member that is no stack' : `${kind} member`;
      this.#emit({ type: 'dropped', kind: what, message: `${printable(name)}: ${problem}` });
    }
    this.#strangers = new Map(strangers.map(({ name, problem }) => [name, problem]));
  }

  #report(session: Session): void {
    if (this.#unfit !== undefined) return this.#setState(false, this.#unfit);
    if (!this.#roster.telling(performance.now())) return;
    const [refusal] = session.refusals;
    if (refusal !== undefined) return this.#setState(false, refusal);
    const { keys, seeds, profile } = this.#config;
    const where = `Serf on ${session.endpoint}, profile ${profile}${keys.length > 0 ? '' : ', not encrypted (no GOSSIP_ENCRYPT_KEY)'}`;
    const names = seeds.map(({ host, port }) => (port === undefined ? host : `${host}:${port}`)).join(', ');
    this.#setState(true, session.alone && names !== '' ? `${where}; nobody answers yet at ${names}` : where);
  }

  #setState(ok: boolean, message: string): void {
    if (this.#state?.ok === ok && this.#state.message === message) return;
    this.#state = { ok, message };
    this.#emit({ type: 'state', ok, message });
  }
}

export function createSource(config: DiscoveryConfig, envelope?: Envelope): Source {
  // Named after the health file, which each daemon has to itself too.
  const places = { folder: `${config.healthFile}.serf`, memory: join(config.stateDir, 'gossip.json') };
  return new GossipSource(config.gossip!, places, envelope);
}
