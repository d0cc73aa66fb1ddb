/**
 * Which identity a stack id belongs to: the first that was seen with it, kept in a file for each, so that `trust forget` is the removal of
 * a file and never meets a write of the daemon. TRUSTED_PEERS stands above: then nobody else is trusted.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { isoTime } from '../process/clock.ts';
import { parseJson, StackIdSchema } from '../record/record.ts';

const FOLDER = 'peers';
/** A member that invents ids must not fill the volume; TRUSTED_PEERS has no limit. */
export const MAX_BINDINGS = 4096;
const MAX_FILE_BYTES = 512;

export const FingerprintSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const BindingSchema = v.object({ fingerprint: FingerprintSchema, since: v.pipe(v.string(), v.isoTimestamp()) });
export type Binding = v.InferOutput<typeof BindingSchema>;

/** What is to be done about an identity that speaks for a stack id. */
export type Standing = 'bound' | 'new' | 'full' | 'unlisted' | { readonly boundTo: string };

export class Bindings {
  readonly #folder: string | undefined;
  readonly #trusted: ReadonlyMap<string, string>;
  #known = new Map<string, Binding>();
  #changedAt = Number.NaN;

  /** `folder` is IDENTITY_DIR; undefined: bindings last as long as this process. `trusted`: stack id -> fingerprint; empty when unused. */
  constructor(folder: string | undefined, trusted: ReadonlyMap<string, string>) {
    this.#folder = folder === undefined ? undefined : join(folder, FOLDER);
    this.#trusted = trusted;
  }

  get all(): ReadonlyMap<string, Binding> {
    return this.#known;
  }

  /** Reads the folder when somebody has changed it. Returns whether it was read. @throws when it cannot be read. */
  refresh(): boolean {
    if (this.#folder === undefined) return false;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const changedAt = statSync(this.#folder).mtimeMs;
    if (changedAt === this.#changedAt) return false;
    this.#changedAt = changedAt;
    this.#known = new Map(
      readdirSync(this.#folder)
        .filter((name) => v.is(StackIdSchema, name))
        .slice(0, MAX_BINDINGS)
        .flatMap((name) => {
          const binding = readBinding(join(this.#folder!, name));
          return binding ? [[name, binding] as const] : [];
        }),
    );
    return true;
  }

  /** `fingerprint` is undefined for a record without a signature. */
  standing(stackId: string, fingerprint: string | undefined): Standing {
    const listed = this.#trusted.get(stackId);
    if (this.#trusted.size > 0 && listed === undefined) return 'unlisted';
    const bound = listed ?? this.#known.get(stackId)?.fingerprint;
    if (bound !== undefined) return bound === fingerprint ? 'bound' : { boundTo: bound };
    return this.#known.size >= MAX_BINDINGS ? 'full' : 'new';
  }

  /** From now on `stackId` is whoever has this identity. @throws when the volume cannot be written. */
  bind(stackId: string, fingerprint: string, wallMs: number): void {
    const binding = { fingerprint, since: isoTime(wallMs) };
    if (this.#folder !== undefined) {
      // A name that is no stack id, so that a reader passes over it.
      const temporary = join(this.#folder, `.${stackId}`);
      writeFileSync(temporary, `${JSON.stringify(binding)}\n`, { mode: 0o600 });
      renameSync(temporary, join(this.#folder, stackId));
      this.#changedAt = statSync(this.#folder).mtimeMs;
    }
    this.#known.set(stackId, binding);
  }

  /** Returns whether there was something to forget. */
  forget(stackId: string): boolean {
    if (!this.#known.delete(stackId)) return false;
    if (this.#folder !== undefined) rmSync(join(this.#folder, stackId), { force: true });
    return true;
  }
}

/** undefined when it is damaged: then the next identity seen is bound. */
function readBinding(path: string): Binding | undefined {
  try {
    const parsed = parseJson(BindingSchema, readFileSync(path, 'utf8'), MAX_FILE_BYTES);
    return parsed.ok ? parsed.value : undefined;
  } catch {
    return undefined;
  }
}
