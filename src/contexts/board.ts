/** What the user sees while several hosts are at work at the same time: a line for each step that ended, a sign of life of the others. */
import { paint, type Screen } from '../embedded/progress.ts';
import { plainText } from './plain-text.ts';

export type Detail = (text: string) => void;

const TICK_MS = 200;
/** Off a terminal (a log, a pipe) a step says that it is still at work after 2 s, and then every 10 s. */
const FIRST_NOTE_MS = 2000;
const NOTE_MS = 10_000;
/** Room for what a step does, so that the times stand below each other. */
const WHAT_WIDTH = 12;
const ERASE_LINE = '\r\x1b[2K';

interface Step {
  readonly who: string;
  readonly what: string;
  readonly started: number;
  note: string;
  nextNote: number;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

export class Board {
  readonly #screen: Screen;
  readonly #running = new Set<Step>();
  #timer: NodeJS.Timeout | undefined;
  #width = 0;

  /** @param names whoever may appear in the first column */
  constructor(screen: Screen, names: readonly string[]) {
    this.#screen = screen;
    this.#width = Math.max(0, ...names.map(({ length }) => length));
  }

  get screen(): Screen {
    return this.#screen;
  }

  line(text = ''): void {
    this.#screen.write(`${this.#screen.isTTY ? ERASE_LINE : ''}${text}\n`);
    this.#status();
  }

  /** Runs `work` as a step of `who`. What `detail` was told last stands behind the step's line. */
  async step<T>(who: string, what: string, work: (detail: Detail) => Promise<T>): Promise<T> {
    const step: Step = { who, what, started: performance.now(), note: '', nextNote: FIRST_NOTE_MS };
    this.#running.add(step);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    try {
      const result = await work((text) => {
        step.note = plainText(text);
      });
      this.#end(step, paint(this.#screen, 'green', '✓'), step.note);
      return result;
    } catch (cause) {
      this.#end(step, paint(this.#screen, 'red', '✗'), plainText((cause as Error).message));
      throw cause;
    }
  }

  #end(step: Step, mark: string, note: string): void {
    this.#running.delete(step);
    if (this.#running.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    const time = seconds(performance.now() - step.started).padStart(8);
    this.line(
      `  ${mark} ${step.who.padEnd(this.#width)}  ${step.what.padEnd(WHAT_WIDTH)}${paint(this.#screen, 'dim', time)}  ${note}`.trimEnd(),
    );
  }

  #tick(): void {
    const now = performance.now();
    if (this.#screen.isTTY) return this.#status();
    for (const step of this.#running) {
      if (now - step.started < step.nextNote) continue;
      step.nextNote += NOTE_MS;
      this.line(
        `  … ${step.who.padEnd(this.#width)}  ${step.what}  ${seconds(now - step.started)}  ${step.note}`.trimEnd(),
      );
    }
  }

  /** One line at the bottom with everything that runs. */
  #status(): void {
    if (!this.#screen.isTTY || this.#running.size === 0) return;
    const now = performance.now();
    const text = [...this.#running]
      .map(({ who, what, started, note }) => `${who}: ${what} ${seconds(now - started)}${note && ` (${note})`}`)
      .join('  ');
    this.#screen.write(`${ERASE_LINE}  … ${text}`.slice(0, ERASE_LINE.length + (this.#screen.columns ?? 80) - 1));
  }
}
