/** A connection to a context's host: its life line, and Docker commands that end when the line breaks. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LOCAL, parseSshUrl, type SshAddress, sshArguments } from './address.ts';
import {
  type Argv,
  CommandFailed,
  type CommandOptions,
  command,
  type Ended,
  end,
  lastWords,
  launch,
} from './command.ts';
import type { Desk } from './desk.ts';
import type { Named } from './file.ts';
import { quoteCommand } from './quote.ts';
import { sshTrouble, type Trouble } from './trouble.ts';

/** ssh gives up by itself after 8 s without a connection; a login that hangs is cut here. */
const LOGIN_MS = 12_000;
/** A command may see the broken line a little earlier than the line itself. */
const VERDICT_MS = 500;
const READY = 'docker-router-host';

/** The host was there and is not any more. */
export class HostLost extends Error {
  readonly host: string;
  constructor(host: string, why: string) {
    super(`${host} no longer answers (${why})`);
    this.host = host;
  }
}

/** The host could not be reached in the first place. */
export class NotReached extends Error {
  readonly trouble: Trouble;
  constructor(trouble: Trouble) {
    super(`${trouble.words} → ${trouble.remedy}`);
    this.trouble = trouble;
  }
}

export interface Host {
  readonly name: string;
  readonly address: SshAddress | typeof LOCAL;
  /** Kernel name and release, where the connection told it. */
  readonly system: string;
  /** Aborted with HostLost when the host is gone, or with the caller's reason. */
  readonly signal: AbortSignal;
  /** The same host for what has to be done although the caller has given up: its signal knows only HostLost. */
  uninterrupted(): Host;
  /** The whole command line of a Docker command there. */
  argv(args: readonly string[]): Argv;
  /** What a Docker command printed. @throws CommandFailed, HostLost, the caller's reason. */
  docker(args: readonly string[], options: Omit<CommandOptions, 'environment' | 'signal'>): Promise<string>;
  /** Runs a command on the host itself, without the Docker client here. Never throws for its exit status. */
  remote(argv: Argv, withinMs: number): Promise<Ended>;
  readonly environment: NodeJS.ProcessEnv;
  close(): void;
}

interface Line {
  readonly system: string;
  readonly lost: AbortController;
  close(): void;
}

/**
 * Logs in and stays. Every later ssh to the host shares this connection. It carries `cat`, which ends with this process however that dies.
 * @throws NotReached
 */
async function openLine(desk: Desk, name: string, address: SshAddress, signal: AbortSignal): Promise<Line> {
  const remote = quoteCommand(['sh', '-c', `echo ${READY} "$(uname -sr)" && exec cat >/dev/null`]);
  // ssh takes the first value of an option that it sees.
  const argv: Argv = ['ssh', '-T', '-o', 'ControlMaster=yes', ...desk.sshOptions, ...sshArguments(address), remote];
  const child = launch(argv);
  child.stdin!.on('error', () => undefined);
  const lost = new AbortController();
  let said = '';
  let closing = false;
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    said = (said + chunk).slice(-8192);
  });
  const close = () => {
    closing = true;
    end(child, 'SIGTERM');
  };
  const ended = new Promise<never>((_, reject) => {
    child.once('error', (cause) =>
      reject(new NotReached({ words: cause.message, remedy: 'install the OpenSSH client' })),
    );
    child.once('close', () => {
      reject(new NotReached(sshTrouble(said, address)));
      if (!closing) lost.abort(new HostLost(name, lastWords(said) || 'the connection ended'));
    });
  });
  ended.catch(() => undefined);
  const timer = setTimeout(() => {
    said += '\nno answer within 12 s';
    end(child, 'SIGKILL');
  }, LOGIN_MS);
  signal.addEventListener('abort', close, { once: true });
  try {
    return { system: await Promise.race([greeting(child.stdout!), ended]), lost, close };
  } catch (cause) {
    close();
    signal.throwIfAborted();
    throw cause;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', close);
  }
}

/** What the host says once the login has worked; shells that print more before it do no harm. */
function greeting(stdout: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-8192);
      const found = new RegExp(`^${READY} (.*)\n`, 'm').exec(text);
      if (found) resolve(found[1] ?? '');
    });
  });
}

interface Way {
  readonly address: SshAddress | typeof LOCAL;
  /** Options of `docker` that choose the engine. */
  readonly choice: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

function wayTo(desk: Desk, { name, host }: Named): Way {
  if (host === LOCAL) {
    return { address: LOCAL, choice: [], environment: { ...desk.environment, DOCKER_HOST: desk.localEngine } };
  }
  const environment = { ...desk.environment, DOCKER_CONTEXT: name };
  return { address: parseSshUrl(host)!, choice: ['--context', name], environment };
}

function hostOn(name: string, way: Way, line: Line | undefined, signal: AbortSignal | undefined): Host {
  const signals = [signal, line?.lost.signal].filter((candidate) => candidate !== undefined);
  const alive = AbortSignal.any(signals);
  const { address, choice, environment } = way;
  const argv = (args: readonly string[]): Argv => ['docker', ...choice, ...args];
  return {
    name,
    address,
    system: line?.system ?? '',
    signal: alive,
    environment,
    argv,
    remote(there, withinMs) {
      const line: Argv = address === LOCAL ? there : ['ssh', '-T', ...sshArguments(address), quoteCommand(there)];
      return command(line, { withinMs, signal: alive, environment });
    },
    async docker(args, options) {
      const ended = await command(argv(args), { ...options, signal: alive, environment });
      if (ended.code === 0) return ended.stdout;
      if (line) await sleep(VERDICT_MS, undefined, { signal: alive }).catch(() => alive.throwIfAborted());
      throw new CommandFailed(argv(args), ended);
    },
    uninterrupted: () => hostOn(name, way, line, undefined),
    close: () => line?.close(),
  };
}

/** @throws NotReached; the signal's reason when it is aborted meanwhile. */
export async function connect(desk: Desk, context: Named, signal: AbortSignal): Promise<Host> {
  const way = wayTo(desk, context);
  const line = way.address === LOCAL ? undefined : await openLine(desk, context.name, way.address, signal);
  return hostOn(context.name, way, line, signal);
}
