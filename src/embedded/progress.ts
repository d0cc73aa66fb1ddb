/** What the user sees while something is being done: a line a step, with its time, and a sign of life in the long ones. */

const TICK_MS = 200;
/** Off a terminal (a log, a pipe) a step says that it is still at work after 2 s, and then every 10 s. */
const FIRST_NOTE_MS = 2000;
const NOTE_MS = 10_000;
const ERASE_LINE = '\r\x1b[2K';

export interface Screen {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export type Detail = (text: string) => void;

/** Colours only where somebody looks at them. */
export function paint(screen: Screen, colour: 'green' | 'red' | 'dim' | 'bold', text: string): string {
  const code = { green: 32, red: 31, dim: 2, bold: 1 }[colour];
  return screen.isTTY && !process.env.NO_COLOR ? `\x1b[${code}m${text}\x1b[0m` : text;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

export class Progress {
  readonly #screen: Screen;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  line(text = ''): void {
    this.#screen.write(`${text}\n`);
  }

  /** Runs `work` under a label. `detail` may say what it is waiting for; `done` puts the result in words. */
  async step<T>(label: string, work: (detail: Detail) => Promise<T>, done?: (result: T) => string): Promise<T> {
    const started = performance.now();
    let note = '';
    let nextNote = FIRST_NOTE_MS;
    const tick = () => {
      const elapsed = performance.now() - started;
      const text = `  … ${label}  ${seconds(elapsed)}${note && `  ${note}`}`;
      if (this.#screen.isTTY) this.#screen.write(ERASE_LINE + text.slice(0, (this.#screen.columns ?? 80) - 1));
      else if (elapsed >= nextNote) {
        this.line(text);
        nextNote += NOTE_MS;
      }
    };
    const timer = setInterval(tick, TICK_MS);
    try {
      const result = await work((text) => {
        note = text;
      });
      this.#end(paint(this.#screen, 'green', '✓'), done?.(result) ?? label, started);
      return result;
    } catch (cause) {
      this.#end(paint(this.#screen, 'red', '✗'), label, started);
      throw cause;
    } finally {
      clearInterval(timer);
    }
  }

  #end(mark: string, label: string, started: number): void {
    const time = paint(this.#screen, 'dim', seconds(performance.now() - started));
    this.line(`${this.#screen.isTTY ? ERASE_LINE : ''}  ${mark} ${label}  ${time}`);
  }
}
