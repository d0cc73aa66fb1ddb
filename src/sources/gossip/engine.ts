/** One run of a Serf agent: its files, its process and connections to its RPC. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GossipConfig } from '../../config/gossip-config.ts';
import { patience } from '../../process/patience.ts';
import type { StackRecord } from '../../record/record.ts';
import { readCapped } from '../../state/atomic-file.ts';
import {
  type AgentSettings,
  agentConfig,
  keyring,
  MAX_KEYRING_BYTES,
  nodeName,
  PORTS,
  rpcEnvironment,
} from './agent-config.ts';
import { lineSplitter, readLine } from './output.ts';
import { candidatePorts, type Reservation, reservePort, tryTcp } from './ports.ts';
import { RpcConnection } from './rpc.ts';
import { GOODBYE_TAG } from './tags.ts';

/** Serf is up within 100 ms on an idle machine. */
const START_MS = 15_000;
const RETRY_MS = 15;
/** With the end of the process: less than the second in which a daemon has to stop. */
export const LEAVE_MS = 600;
/** Never reached: who leaves waits less long. */
const ANSWER_MS = 60_000;
const LOOPBACK = '127.0.0.1';
/**
 * pdeathsig: when this process dies, however it dies, its agent must not go on announcing the stack. Compression takes large gossips
 * more processor time than its bytes are worth.
 */
const PROGRAM = ['setpriv', '--pdeathsig', 'KILL', '--', 'serf', 'agent', '-disable-compression'] as const;

export interface EngineOrder {
  readonly config: GossipConfig;
  readonly record: StackRecord;
  readonly tags: Readonly<Record<string, string>>;
  /** Folder of the agent's files, on a tmpfs: they hold secrets. */
  readonly folder: string;
  /** Port of the last run: the others look for this stack there. */
  readonly lastPort: number | undefined;
  /** The stack's id is not to be read in the gossip. */
  readonly anonymous?: boolean;
  onHint(): void;
  onStranger(what: string, message: string): void;
}

async function bindAddress(hostIp: string): Promise<string> {
  try {
    await tryTcp(hostIp, 0);
    return hostIp;
  } catch (cause) {
    // The others reach this host by an address of something in front of it (NAT).
    if ((cause as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL') return '0.0.0.0';
    throw cause;
  }
}

interface Prepared {
  readonly settings: AgentSettings;
  readonly reservation: Reservation;
}

async function choose(order: EngineOrder, keyringFile: string | undefined): Promise<Prepared> {
  const { config, record, tags, lastPort } = order;
  const bind = await bindAddress(record.host_ip);
  const rpcPort = await tryTcp(LOOPBACK, 0);
  const candidates = candidatePorts(config.port, PORTS, lastPort);
  const reservation = await reservePort(bind, candidates);
  if (!reservation) {
    const range = `${config.port} to ${Math.max(...candidates)}`;
    throw new Error(`no free port from ${range} on ${bind}; set GOSSIP_PORT to another one`);
  }
  const settings = {
    name: nodeName(record, reservation.port, order.anonymous),
    bind,
    advertise: record.host_ip,
    port: reservation.port,
    rpcPort,
    rpcToken: randomBytes(32).toString('hex'),
    profile: config.profile,
    tags,
    keyringFile,
  };
  return { settings, reservation };
}

/** Writes a file that only this user can read. */
async function writePrivate(path: string, text: string): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, text, { mode: 0o600, flag: 'wx' });
}

async function prepare(order: EngineOrder): Promise<Prepared> {
  const { folder, config } = order;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const keyringFile = config.keys.length > 0 ? join(folder, 'keyring.json') : undefined;
  if (keyringFile !== undefined) {
    const left = await readCapped(keyringFile, MAX_KEYRING_BYTES).catch(() => undefined);
    await writePrivate(keyringFile, JSON.stringify(keyring(left, config.keys)));
  }
  const prepared = await choose(order, keyringFile);
  try {
    await writePrivate(join(folder, 'agent.json'), agentConfig(prepared.settings));
    await writePrivate(join(folder, 'rpc.env'), rpcEnvironment(prepared.settings));
    return prepared;
  } catch (cause) {
    prepared.reservation.release();
    throw cause;
  }
}

export class Engine {
  readonly settings: AgentSettings;
  /** Why the agent's process ended, once it has. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  #fatal: string | undefined;
  #gone = false;

  private constructor({ settings, reservation }: Prepared, child: ChildProcess, order: EngineOrder) {
    this.settings = settings;
    this.#child = child;
    const read = lineSplitter((text) => {
      const line = readLine(text);
      if (line.kind === 'hint') order.onHint();
      else if (line.kind === 'stranger') order.onStranger(line.what, line.message);
      else if (line.kind === 'fatal') this.#fatal ??= line.message;
      else if (/^(setpriv|serf): /.test(text)) this.#fatal ??= text;
    });
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    this.ended = new Promise((resolve) => {
      child.once('error', (cause) => resolve(`Serf cannot be started: ${cause.message}`));
      // `close` comes after the last line was read, `exit` may come before.
      child.once('close', (code, signal) => resolve(`Serf ended (${this.#fatal ?? signal ?? `exit status ${code}`})`));
    });
    void this.ended.then(() => {
      this.#gone = true;
      reservation.release();
    });
  }

  /** Starts an agent and waits until its RPC answers. @throws Error in plain words when it does not come up. */
  static async start(order: EngineOrder, signal: AbortSignal): Promise<Engine> {
    const prepared = await prepare(order);
    if (signal.aborted) {
      prepared.reservation.release();
      signal.throwIfAborted();
    }
    const [program, ...args] = PROGRAM;
    const child = spawn(program, [...args, '-config-file', join(order.folder, 'agent.json')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Nothing else of the environment: other modes' secrets may be in it. Go would start a thread for each processor.
      env: { PATH: process.env.PATH, GOMAXPROCS: '2' },
    });
    const engine = new Engine(prepared, child, order);
    try {
      await engine.#untilReady(signal);
      return engine;
    } catch (cause) {
      // Others may have found it already.
      if (signal.aborted) await engine.leave(LEAVE_MS);
      await engine.kill();
      throw cause;
    }
  }

  /** Another connection to the agent. @throws when it cannot be had. */
  async connect(): Promise<RpcConnection> {
    return RpcConnection.open(this.settings.rpcPort, this.settings.rpcToken);
  }

  async #untilReady(signal: AbortSignal): Promise<void> {
    const deadline = performance.now() + START_MS;
    for (;;) {
      signal.throwIfAborted();
      if (this.#gone) throw new Error(await this.ended);
      try {
        (await this.connect()).close();
        return;
      } catch (cause) {
        if (performance.now() > deadline) throw new Error(`Serf does not answer: ${(cause as Error).message}`);
      }
      await Promise.race([sleep(RETRY_MS), this.ended]);
    }
  }

  /**
   * Says goodbye, for at most `withinMs`. Serf takes two seconds to be sure that everybody has heard it; the first hear it in 0.2 s. The time is
   * counted in turns: while the host stood still Serf could not speak either.
   */
  async leave(withinMs: number): Promise<void> {
    let over = false;
    const waited = patience(withinMs, () => this.#gone).then(() => {
      over = true;
    });
    while (!this.#gone && !over) {
      // A connection each: neither must wait for the other.
      const connections = await Promise.all([this.connect(), this.connect()]).catch(() => undefined);
      if (!connections) {
        await Promise.race([sleep(RETRY_MS), this.ended]);
        continue;
      }
      const [forTags, forLeave] = connections;
      const goodbye = { Tags: { [GOODBYE_TAG]: '1' }, DeleteTags: [] };
      const said = [forTags.call('tags', goodbye, ANSWER_MS), forLeave.call('leave', undefined, ANSWER_MS)];
      await Promise.race([Promise.allSettled(said), this.ended, waited]);
      for (const connection of connections) connection.close();
      return;
    }
  }

  async kill(): Promise<void> {
    if (!this.#gone) this.#child.kill('SIGKILL');
    await this.ended;
  }
}
