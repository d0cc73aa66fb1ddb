/** A shell that stays open in a host of the lab: entering it anew for each of a thousand commands would take most of the time. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';

const LAB = fileURLToPath(new URL('../../scripts/lab.sh', import.meta.url));

export interface Answer {
  readonly code: number;
  readonly output: string;
}

export class HostShell {
  readonly #argv: readonly string[];
  #child: ChildProcessWithoutNullStreams | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  /** `place`: the words of lab.sh before the command, such as `in 1`. */
  constructor(...place: readonly string[]) {
    this.#argv = [...place, 'bash', '--noprofile', '--norc'];
  }

  /** Runs a line of shell and gives what it printed on both outputs. Code 255: the host is off, or the line took too long. */
  run(line: string, withinMs = 60_000): Promise<Answer> {
    const mine = this.#turn.then(() => this.#run(line, withinMs));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** The output. @throws Error when the line fails. */
  async ok(line: string, withinMs?: number): Promise<string> {
    const { code, output } = await this.run(line, withinMs);
    if (code !== 0)
      throw new Error(`${this.#argv.join(' ')}: ${line.slice(0, 200)}: exit status ${code}: ${output.slice(-400)}`);
    return output.trim();
  }

  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  #open(): ChildProcessWithoutNullStreams {
    if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) return this.#child;
    const child = spawn(LAB, this.#argv, { stdio: 'pipe' });
    child.stdin.on('error', () => undefined);
    child.on('error', () => undefined);
    this.#child = child;
    return child;
  }

  #run(line: string, withinMs: number): Promise<Answer> {
    const child = this.#open();
    const end = randomBytes(8).toString('hex');
    return new Promise((resolve) => {
      let text = '';
      const finish = (answer: Answer) => {
        clearTimeout(timer);
        child.stdout.off('data', onData);
        child.off('close', onClose);
        resolve(answer);
      };
      const onClose = () => finish({ code: 255, output: text });
      const onData = (chunk: Buffer) => {
        text += chunk;
        const found = new RegExp(`${end} (\\d+)\\n$`).exec(text);
        if (found) finish({ code: Number(found[1]), output: text.slice(0, found.index) });
      };
      const timer = setTimeout(() => {
        this.close();
        finish({ code: 255, output: `${text}\nno end after ${withinMs} ms` });
      }, withinMs);
      child.stdout.on('data', onData);
      child.once('close', onClose);
      child.stdin.write(`{ ${line}\n} 2>&1 </dev/null; echo "${end} $?"\n`);
    });
  }
}
