/** The desk's end of an agent: questions and answers in turn over the standard streams of `docker run`. */
import * as v from 'valibot';
import { parseJson } from '../record/record.ts';
import type { Answer, Request } from './agent-protocol.ts';
import { type Argv, end, lastWords, launch } from './command.ts';

/** Starting a container takes about a second; ten where the disk is busy. */
const START_MS = 30_000;
const ANSWER_MS = 10_000;
/** A thousand hosts, thirty packet sizes, 15 bytes each. */
const MAX_ANSWER_BYTES = 1 << 20;

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const AnswerSchema = v.object({
  error: v.exactOptional(v.string()),
  now: v.exactOptional(v.number()),
  port: v.exactOptional(v.pipe(count, v.maxValue(65_535))),
  received: v.exactOptional(v.record(v.string(), v.record(v.string(), count))),
});

export class AgentLink {
  readonly #child: ReturnType<typeof launch>;
  readonly #signal: AbortSignal;
  #waiting: ((answer: Answer) => void) | undefined;
  #failed: Error | undefined;
  #said = '';
  #heard = '';

  private constructor(argv: Argv, environment: NodeJS.ProcessEnv, signal: AbortSignal) {
    this.#child = launch(argv, environment);
    this.#signal = signal;
    this.#child.stdin!.on('error', () => undefined);
    this.#child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      this.#said = (this.#said + chunk).slice(-8192);
    });
    this.#child.stdout!.setEncoding('utf8').on('data', (chunk: string) => this.#hear(chunk));
    this.#child.once('error', (cause) => this.#fail(cause));
    this.#child.once('close', () => this.#fail(new Error(lastWords(this.#said) || 'the container ended')));
  }

  /** @throws Error with Docker's words when the container does not start; the signal's reason. */
  static async start(argv: Argv, environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<AgentLink> {
    signal.throwIfAborted();
    const link = new AgentLink(argv, environment, signal);
    try {
      await link.#next(START_MS);
      return link;
    } catch (cause) {
      link.close();
      throw cause;
    }
  }

  /** An answer is a line. Whoever says something else is not our agent, and is not asked again. */
  #hear(chunk: string): void {
    this.#heard += chunk;
    if (this.#heard.length > MAX_ANSWER_BYTES) {
      this.#heard = '';
      return this.#fail(new Error('it answers without end'));
    }
    const lines = this.#heard.split('\n');
    this.#heard = lines.pop()!;
    for (const line of lines) {
      const answer = parseJson(AnswerSchema, line, MAX_ANSWER_BYTES);
      if (answer.ok) this.#settle(answer.value);
      else this.#fail(new Error(`its answer makes no sense: ${answer.error}`));
    }
  }

  #settle(answer: Answer): void {
    this.#waiting?.(answer);
    this.#waiting = undefined;
  }

  #fail(cause: Error): void {
    this.#failed ??= cause;
    this.#settle({ error: cause.message });
  }

  async #next(withinMs: number): Promise<Answer> {
    this.#signal.throwIfAborted();
    if (this.#failed) throw this.#failed;
    let timer: NodeJS.Timeout | undefined;
    const stop = () => this.#fail(this.#signal.reason as Error);
    this.#signal.addEventListener('abort', stop, { once: true });
    try {
      const answer = await new Promise<Answer>((resolve) => {
        this.#waiting = resolve;
        timer = setTimeout(() => this.#fail(new Error(`no answer within ${withinMs / 1000} s`)), withinMs);
      });
      this.#signal.throwIfAborted();
      if (this.#failed) throw this.#failed;
      return answer;
    } finally {
      clearTimeout(timer);
      this.#signal.removeEventListener('abort', stop);
    }
  }

  /** One question at a time. @throws Error when the agent is gone; an answer with an `error` is an answer. */
  ask(request: Request): Promise<Answer> {
    const answer = this.#next(ANSWER_MS);
    this.#child.stdin!.write(`${JSON.stringify(request)}\n`);
    return answer;
  }

  /** The container ends with its standard input. */
  close(): void {
    this.#child.stdin!.end();
    setTimeout(() => end(this.#child, 'SIGKILL'), 3000).unref();
  }
}
