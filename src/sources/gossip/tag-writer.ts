/** Keeps an agent's tags at what they should be. Serf takes up to a second for each change, so only the latest is written. */
import { type RpcConnection, RpcRefusal } from './rpc.ts';

export type Tags = Readonly<Record<string, string>>;

export interface TagHooks {
  /** The agent has the tags and tells the others. */
  written(): void;
  /** The connection is of no more use. */
  failed(cause: Error): void;
}

/** Serf waits up to 5 s until a change is on its way. */
const WRITE_MS = 10_000;

const same = (a: Tags, b: Tags) =>
  JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());

export class TagWriter {
  readonly #rpc: RpcConnection;
  readonly #hooks: TagHooks;
  #written: Tags;
  #wanted: Tags;
  #writing = false;

  /** `written` is what the agent started with. */
  constructor(rpc: RpcConnection, written: Tags, hooks: TagHooks) {
    this.#rpc = rpc;
    this.#hooks = hooks;
    this.#written = written;
    this.#wanted = written;
  }

  write(tags: Tags): void {
    this.#wanted = tags;
    if (!this.#writing) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#writing = true;
    try {
      while (!same(this.#wanted, this.#written)) {
        const next = this.#wanted;
        const gone = Object.keys(this.#written).filter((name) => !(name in next));
        await this.#rpc.call('tags', { Tags: next, DeleteTags: gone }, WRITE_MS).catch((cause: Error) => {
          // It has the tags all the same; only their first broadcast was slow, and the periodic exchange carries them too.
          if (!(cause instanceof RpcRefusal)) throw cause;
        });
        this.#written = next;
        this.#hooks.written();
      }
    } catch (cause) {
      this.#hooks.failed(cause as Error);
    }
    this.#writing = false;
  }
}
