/** One agent at work: its members are watched, its tags kept, the missing looked for. Ends when anything of it fails. */

import { setTimeout as sleep } from 'node:timers/promises';
import { Engine, type EngineOrder, LEAVE_MS } from './engine.ts';
import { MemberWatch } from './member-watch.ts';
import type { View } from './members.ts';
import type { Memory } from './rejoin.ts';
import type { RpcConnection } from './rpc.ts';
import { Seeker } from './seeker.ts';
import { type Tags, TagWriter } from './tag-writer.ts';

/** From the first sign of an agent's end to the end of its process. */
const END_MS = 500;

export interface SessionHooks {
  /** After every look at the members. */
  members(members: readonly unknown[]): void;
  stranger(kind: string, message: string): void;
}

export interface SessionOrder extends Omit<EngineOrder, 'onHint' | 'onStranger'> {
  readonly hooks: SessionHooks;
}

export class Session {
  /** Why it ended, in words that complete a sentence. */
  readonly ended: Promise<string>;
  readonly #engine: Engine;
  readonly #connections: readonly RpcConnection[];
  readonly #seeker: Seeker;
  readonly #tags: TagWriter;
  readonly #watch: MemberWatch;
  #fail: (reason: string) => void = () => undefined;

  private constructor(engine: Engine, connections: readonly RpcConnection[], order: SessionOrder) {
    this.#engine = engine;
    this.#connections = connections;
    const failed = new Promise<string>((resolve) => {
      this.#fail = resolve;
    });
    // An agent that dies closes its connections first; that it died is the better reason.
    const outlived = failed.then((reason) => Promise.race([engine.ended, sleep(END_MS, reason)]));
    this.ended = Promise.race([engine.ended, outlived]);
    const onFailure = (cause: Error) => this.#fail(cause.message);
    // A connection each: an agent answers the commands of one connection in turn, and a join can take long.
    const [forMembers, forTags, forJoins] = connections as [RpcConnection, RpcConnection, RpcConnection];
    this.#tags = new TagWriter(forTags, engine.settings.tags, {
      written: () => this.#seeker.introduce(),
      failed: onFailure,
    });
    this.#seeker = new Seeker(order.config, this.endpoint, forJoins, {
      tried: () => this.#watch.hint(),
      failed: onFailure,
    });
    this.#watch = new MemberWatch(forMembers, (members) => order.hooks.members(members), onFailure);
    this.#seeker.run().catch(onFailure);
  }

  /** @throws Error in plain words when the agent does not start. */
  static async open(order: SessionOrder, signal: AbortSignal): Promise<Session> {
    let session: Session | undefined;
    const engine = await Engine.start(
      {
        ...order,
        onHint: () => session?.hint(),
        onStranger: (kind, message) => order.hooks.stranger(kind, message),
      },
      signal,
    );
    try {
      const connections = await Promise.all([engine.connect(), engine.connect(), engine.connect()]);
      session = new Session(engine, connections, order);
      return session;
    } catch (cause) {
      await engine.kill();
      throw cause;
    }
  }

  /** Where this stack's agent listens, as the others reach it. */
  get endpoint(): string {
    const { advertise, port } = this.#engine.settings;
    return `${advertise}:${port}`;
  }

  get port(): number {
    return this.#engine.settings.port;
  }

  /** Why each of those who answered refused this stack, when nobody else is there. */
  get refusals(): string[] {
    return this.#seeker.alone ? [...this.#seeker.refused.values()] : [];
  }

  /** Whether everybody was looked for and nobody found. */
  get alone(): boolean {
    return this.#seeker.alone && this.#seeker.searched;
  }

  hint(): void {
    this.#watch.hint();
  }

  see(view: View, memory: Memory): void {
    this.#seeker.see(view, memory);
  }

  write(tags: Tags): void {
    this.#tags.write(tags);
  }

  async leave(): Promise<void> {
    this.#watch.close();
    this.#seeker.close();
    await this.#engine.leave(LEAVE_MS);
  }

  async close(): Promise<void> {
    this.#watch.close();
    this.#seeker.close();
    for (const connection of this.#connections) connection.close();
    await this.#engine.kill();
    this.#fail('closed');
  }
}
