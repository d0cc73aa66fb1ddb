/** Effects around the gate: the identity's volume, the file of keys, and lines for the log. Loaded only where trust is on. */
import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseKeys, type TrustConfig } from '../config/trust-config.ts';
import { ConfigError } from '../config/variables.ts';
import type { Policy } from '../peers/judge.ts';
import { Possession } from '../peers/possession.ts';
import type { Known } from '../peers/table.ts';
import type { Clock } from '../process/clock.ts';
import type { Logger } from '../process/log.ts';
import { readCapped, writeAtomic } from '../state/atomic-file.ts';
import type { PeerEntry } from '../state/discovery-file.ts';
import { watchFile } from '../state/watch-file.ts';
import { Gate, RECLOSE_MS } from './gate.ts';
import { loadIdentity } from './identity.ts';

const MAX_KEYS_BYTES = 65_536;

export interface TrustListener {
  /** discovery.json may say something else. */
  changed(): void;
  /** What was left somewhere has to be closed anew. */
  reclose(): void;
}

export interface TrustParts {
  readonly stackId: string;
  readonly config: TrustConfig;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Trust {
  readonly gate: Gate;
  /** Disputes between peers that sign are settled by who held first. */
  readonly policy: Pick<Policy, 'held'> = { held: (claims) => this.#possession.among(claims) };
  readonly #possession = new Possession();
  readonly #parts: TrustParts;
  readonly #stoppers: (() => void)[] = [];
  #listener: TrustListener | undefined;
  #keysText: string | undefined;
  #problem: string | undefined;
  #volumeProblem: string | undefined;

  private constructor(gate: Gate, parts: TrustParts) {
    this.gate = gate;
    this.#parts = parts;
  }

  /** @throws ConfigError when IDENTITY_DIR cannot be used. */
  static async open(parts: TrustParts): Promise<Trust> {
    const { config, stackId, clock, log } = parts;
    const dir = config.identityDir;
    const identity = dir === undefined ? undefined : await loadIdentity(dir);
    if (identity?.isNew && (await stat(dir!)).dev === (await stat('/')).dev)
      log.warn(`IDENTITY_DIR ${dir} seems to be no volume: a new container would be another stack to the others`);
    const boot = await nextBoot(dir, clock.wall());
    let trust: Trust | undefined;
    const changed = () => {
      if (trust) trust.#listener?.changed();
    };
    const gate = openGate({ stackId, config, identity, clock, boot, changed });
    if (identity)
      log.info(
        `identity ${identity.fingerprint}${identity.isNew ? ', made now: keep its volume' : ''}; ${gate.bindings.all.size} others known`,
      );
    else
      log.warn(
        'no IDENTITY_DIR: any stack that has the keys can speak for this one; mount a volume of its own and set IDENTITY_DIR',
      );
    if (gate.seals) log.info(`announcements are sealed with key ${gate.keyNames[0]}; ${gate.keyNames.length} open`);
    else
      log.warn(
        'no DISCOVERY_KEYS: announcements are signed, and anyone can read them; set DISCOVERY_KEYS in every stack',
      );
    trust = new Trust(gate, parts);
    return trust;
  }

  start(listener: TrustListener): void {
    this.#listener = listener;
    const reclose = setInterval(() => listener.reclose(), RECLOSE_MS);
    this.#stoppers.push(() => clearInterval(reclose));
    const path = this.#parts.config.keysFile;
    if (path === undefined) return;
    const watcher = watchFile(path, () => void this.#lookAtKeys(path));
    this.#stoppers.push(() => watcher.close());
    void this.#lookAtKeys(path);
  }

  /** Stacks that are refused for who they are, heard since `from` (monotonic milliseconds), as the peer table has its own. */
  refused(from: number): (Known & { readonly reason: string })[] {
    return this.gate.refused(from).map((refused) => ({ ...refused, stale: false }));
  }

  /** Takes note of who stands with what, of the rows of a discovery.json. */
  hold(peers: readonly PeerEntry[]): void {
    this.#possession.note(peers.filter(({ status }) => status !== 'rejected'));
  }

  /** Takes note of what `trust forget` did in the volume. */
  refresh(): void {
    try {
      if (this.gate.refresh()) this.#listener?.reclose();
      this.#volumeProblem = undefined;
    } catch (cause) {
      const problem = `IDENTITY_DIR cannot be read (${(cause as Error).message}); what is known stays`;
      if (problem !== this.#volumeProblem) this.#parts.log.warn(problem);
      this.#volumeProblem = problem;
    }
  }

  stop(): void {
    for (const stop of this.#stoppers) stop();
    this.gate.stop();
  }

  async #lookAtKeys(path: string): Promise<void> {
    const { log } = this.#parts;
    let names: readonly string[];
    try {
      // A secret may be a link to its latest version.
      const text = (await readCapped(await realpath(path), MAX_KEYS_BYTES)) ?? '';
      if (text === this.#keysText) return;
      this.#keysText = text;
      const before = this.gate.keyNames.join();
      this.gate.useKeys(parseKeys(text));
      names = this.gate.keyNames;
      if (names.join() === before) return;
    } catch (cause) {
      const problem = `DISCOVERY_KEYS_FILE ${(cause as Error).message}; the keys stay as they were`;
      if (problem !== this.#problem) log.warn(problem);
      this.#problem = problem;
      return;
    }
    this.#problem = undefined;
    log.info(`keys read again: ${names[0]} seals, ${names.length} open (${names.join(', ')})`);
    this.#listener?.reclose();
  }
}

function openGate(parts: ConstructorParameters<typeof Gate>[0]): Gate {
  try {
    return new Gate(parts);
  } catch (cause) {
    throw new ConfigError([`IDENTITY_DIR ${parts.config.identityDir} cannot be used (${(cause as Error).message})`]);
  }
}

/** Greater than that of every process before, also when the clock went back. */
async function nextBoot(dir: string | undefined, wallMs: number): Promise<number> {
  if (dir === undefined) return wallMs;
  const path = join(dir, 'boot');
  const last = Number((await readCapped(path, 64).catch(() => undefined)) ?? 0);
  const boot = Math.max(wallMs, Number.isSafeInteger(last) ? last + 1 : 0);
  await writeAtomic(path, `${boot}\n`, 0o600);
  return boot;
}
