/** Reads environment variables and collects every problem, so that a user mends them all at once. */
import { readFileSync } from 'node:fs';

/** Exit status for a configuration that cannot work: EX_CONFIG of sysexits.h. */
export const EXIT_CONFIG = 78;

/** Largest secret file that is read, in bytes. */
const MAX_SECRET_BYTES = 65_536;

export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`configuration: ${problems.join('; ')}`);
    this.problems = problems;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Turns text into a value; throws an Error whose message completes "NAME ...". */
export type Parse<T> = (text: string) => T;

export class Variables {
  readonly #env: Environment;
  readonly #problems: string[] = [];

  constructor(env: Environment) {
    this.#env = env;
  }

  problem(text: string): void {
    this.#problems.push(text);
  }

  /** The raw text; empty counts as unset, since compose passes `${UNSET}` as an empty string. */
  text(name: string): string | undefined {
    const value = this.#env[name]?.trim();
    return value === '' ? undefined : value;
  }

  required<T>(name: string, parse: Parse<T>, example: string): T | undefined {
    if (this.text(name) === undefined) {
      this.problem(`${name} is required, for example ${name}=${example}`);
      return undefined;
    }
    return this.optional(name, parse, undefined);
  }

  optional<T, D>(name: string, parse: Parse<T>, fallback: D): T | D {
    const text = this.text(name);
    if (text === undefined) return fallback;
    try {
      return parse(text);
    } catch (cause) {
      this.problem(`${name} ${(cause as Error).message}, but is ${JSON.stringify(text.slice(0, 60))}`);
      return fallback;
    }
  }

  /** A secret from NAME or from the file NAME_FILE names (Docker secrets). Its value never stands in a message. */
  secret(name: string): string | undefined {
    const file = this.text(`${name}_FILE`);
    const direct = this.text(name);
    if (file === undefined) return direct;
    if (direct !== undefined) this.problem(`${name} and ${name}_FILE are both set; keep one`);
    return this.fileText(`${name}_FILE`, file)?.trim();
  }

  /** Contents of a file that a variable names; a problem when it cannot be read. */
  fileText(name: string, path: string): string | undefined {
    try {
      const text = readFileSync(path, 'utf8');
      if (text.length > MAX_SECRET_BYTES) throw new Error(`is larger than ${MAX_SECRET_BYTES} bytes`);
      return text;
    } catch (cause) {
      this.problem(`${name} names ${JSON.stringify(path)}, which cannot be read (${(cause as Error).message})`);
      return undefined;
    }
  }

  /** Throws a ConfigError when there was any problem. */
  finish(): void {
    if (this.#problems.length > 0) throw new ConfigError(this.#problems);
  }
}

export function integer(min: number, max: number): Parse<number> {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,12}$/.test(text) || value < min || value > max)
      throw new Error(`must be a whole number from ${min} to ${max}`);
    return value;
  };
}

/** A time as plain seconds or with a unit (`30`, `30s`, `500ms`, `5m`, `2h`) -> milliseconds. */
export function duration(minMs: number, maxMs: number): Parse<number> {
  const unit: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  return (text) => {
    const match = /^(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|m|h)?$/.exec(text);
    const ms = match ? Math.round(Number(match[1]) * unit[match[2] ?? 's']!) : Number.NaN;
    if (!(ms >= minMs && ms <= maxMs))
      throw new Error(`must be a time from ${minMs / 1000} to ${maxMs / 1000} seconds, such as 30 or 30s`);
    return ms;
  };
}

export function oneOf<const T extends string>(...allowed: T[]): Parse<T> {
  return (text) => {
    const found = allowed.find((word) => word === text.toLowerCase());
    if (!found) throw new Error(`must be one of ${allowed.join(', ')}`);
    return found;
  };
}

/** Comma-separated list; duplicates and empty items are dropped. */
export function list<T>(item: Parse<T>): Parse<T[]> {
  return (text) => {
    const items = text.split(',').map((part) => part.trim());
    return [...new Set(items.filter((part) => part !== ''))].map(item);
  };
}
