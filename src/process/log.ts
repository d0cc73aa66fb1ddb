/** Logging for both daemons: one line an event on stderr, as text or JSON. */
import type { CommonConfig } from '../config/common.ts';

const LEVELS = ['debug', 'info', 'warning', 'error'] as const;
type Level = (typeof LEVELS)[number];

/** What the daemons log with: whole sentences, no templates. */
export type Logger = Record<'debug' | 'info' | 'warn' | 'error', (text: string) => void>;

/** Control characters of a hostile peer must not move the cursor or begin a line. */
function literal(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}

const FORMATS = {
  text: (time: string, level: Level, name: string, text: string) => `${time} [${level}] ${name}: ${literal(text)}\n`,
  json: (time: string, level: Level, name: string, message: string) =>
    `${JSON.stringify({ time, level, name, message })}\n`,
};

/** The logger of the daemon `name`. Lines below the configured level are not written. */
export function startLog(name: string, config: Pick<CommonConfig, 'logLevel' | 'logFormat'>): Logger {
  const lowest = LEVELS.indexOf(config.logLevel);
  const format = FORMATS[config.logFormat];
  const at = (level: Level) => (text: string) => {
    if (LEVELS.indexOf(level) < lowest) return;
    process.stderr.write(format(new Date().toISOString(), level, name, text));
  };
  return { debug: at('debug'), info: at('info'), warn: at('warning'), error: at('error') };
}

/** Lets one message of a kind through in a while, and counts what it held back: a hostile sender must not fill the disk. */
export class LogLimiter {
  readonly #everyMs: number;
  readonly #kinds = new Map<string, { openAt: number; held: number }>();

  constructor(everyMs = 30_000) {
    this.#everyMs = everyMs;
  }

  /** How many of `kind` were held back since the last one let through; undefined when this one is to be held back too. */
  admit(kind: string, nowMs: number): number | undefined {
    const state = this.#kinds.get(kind);
    if (state && nowMs < state.openAt) {
      state.held += 1;
      return undefined;
    }
    // The kinds are few and fixed by the code, save where a peer's id is part of one: bound them all the same.
    if (this.#kinds.size > 1000) this.#kinds.clear();
    this.#kinds.set(kind, { openAt: nowMs + this.#everyMs, held: 0 });
    return state?.held ?? 0;
  }
}
