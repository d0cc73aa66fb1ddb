/** WireGuard's devices: kernel ones on the host's underlay, or wireguard-go on TUN. Private keys go through files in memory, never argv. */
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, type Result, run, runOk } from '../process/run.ts';
import { WG_DEVICES } from './owned.ts';
import { parseWgDump, type WgDevice } from './parse-wg.ts';

export type Engine = 'kernel' | 'wireguard-go';

/** Memory of this container alone. `wg` opens its input by name, and the pipes of Node are sockets, which have none. */
const SECRETS = '/dev/shm';
/** Where wireguard-go and wg meet; in the image a link to here, since the root file system is read-only. */
const SOCKETS = '/dev/shm/wireguard';

export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function withInput(text: string, use: (path: string) => Promise<unknown>): Promise<void> {
  const folder = await mkdtemp(join(SECRETS, 'docker-router-'));
  try {
    const path = join(folder, 'input');
    await writeFile(path, text, { mode: 0o600 });
    await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @throws CommandError when `wg` cannot list them. */
export async function observeTunnels(): Promise<Map<string, WgDevice>> {
  const all = parseWgDump(await runOk(['wg', 'show', 'all', 'dump']));
  return new Map([...all].filter(([name]) => WG_DEVICES.some((ours) => ours === name)));
}

export async function newKeys(): Promise<{ privateKey: string; publicKey: string }> {
  const privateKey = (await runOk(['wg', 'genkey'])).trim();
  return { privateKey, publicKey: (await runOk(['wg', 'pubkey'], `${privateKey}\n`)).trim() };
}

/** Which engine this machine has; undefined when it has neither, for want of /dev/net/tun. */
export async function findEngine(): Promise<Engine | undefined> {
  const probe = 'wgprobe0';
  const made = await run(['ip', 'link', 'add', probe, 'type', 'wireguard']);
  if (made.code === 0) {
    await run(['ip', 'link', 'delete', 'dev', probe]);
    return 'kernel';
  }
  return (await exists('/dev/net/tun')) ? 'wireguard-go' : undefined;
}

/**
 * As a batch process. Each wake-up of one of its many threads would otherwise preempt whoever runs, across the control groups of the containers,
 * services that send included; a batch thread waits its turn (docs/decisions/0025).
 */
async function startGo(name: string): Promise<Result> {
  // With a LOG_LEVEL it would keep our pipes open.
  const plain = ['env', '-u', 'LOG_LEVEL', 'wireguard-go', name] as const;
  const batch = await run(['chrt', '--batch', '0', ...plain]).catch(() => undefined);
  // No chrt, or one that may not: rather slow than none.
  return batch === undefined || (batch.code !== 0 && batch.stderr.startsWith('chrt: ')) ? run(plain) : batch;
}

/** wireguard-go goes into the background once its device is there, and outlives this process: forwarding does not depend on it. */
async function createGo(name: string): Promise<void> {
  await mkdir(SOCKETS, { recursive: true, mode: 0o700 });
  const { code, stdout, stderr } = await startGo(name);
  if (code === 0) return;
  // It prints a banner first.
  const reason = /^ERROR: \(\S+\) [\d/]+ [\d:]+ ([^\n\u2500-\u257f]+)/m.exec(stdout + stderr)?.[1];
  throw new Error(`wireguard-go cannot make ${name}: ${reason ?? `exit status ${code}`}`);
}

export interface NewDevice {
  readonly name: string;
  readonly engine: Engine;
  /** Name of the namespace that holds the UDP socket; undefined: this one. */
  readonly underlay: string | undefined;
  readonly privateKey: string;
  readonly mtu: number;
}

const taken = (cause: unknown) => cause instanceof CommandError && /Address already in use/.test(cause.stderr);

/**
 * Creates a device with its key and the first of `ports` that is free, and returns that port.
 * @throws CommandError when the kernel refuses, Error when no port is free; the device is then gone again.
 */
export async function createTunnel(device: NewDevice, ports: readonly number[]): Promise<number> {
  const { name, engine, underlay, privateKey, mtu } = device;
  if (engine === 'wireguard-go') await createGo(name);
  else {
    const place = underlay === undefined ? [] : ['link-netns', underlay];
    // The namespace needs an id before a device can be linked to it; a bridged container usually has one.
    if (underlay !== undefined) await run(['ip', 'netns', 'set', underlay, 'auto']);
    await runOk(['ip', 'link', 'add', name, ...place, 'type', 'wireguard']);
  }
  try {
    for (const port of ports) {
      await setKey(name, privateKey, port);
      try {
        await runOk(['ip', 'link', 'set', 'dev', name, 'mtu', String(mtu), 'up']);
        return port;
      } catch (cause) {
        if (!taken(cause)) throw cause;
      }
    }
    throw new Error(`no free UDP port for WireGuard among ${ports[0]} to ${ports.at(-1)}; set WG_PORT`);
  } catch (cause) {
    await deleteTunnel(name);
    throw cause;
  }
}

/** Gives a device a key and a port; it forgets its peers, and with them every session of the key before. @throws CommandError */
export async function setKey(name: string, privateKey: string, port: number): Promise<void> {
  const config = `[Interface]\nPrivateKey = ${privateKey}\nListenPort = ${port}\n`;
  await withInput(config, (path) => runOk(['wg', 'setconf', name, path]));
}

/** wireguard-go ends when its device is deleted. */
export async function deleteTunnel(name: string): Promise<void> {
  await run(['ip', 'link', 'delete', 'dev', name]);
}

/** `config` is in the format of wg(8). */
export async function addPeers(name: string, config: string): Promise<void> {
  if (config !== '') await withInput(config, (path) => runOk(['wg', 'addconf', name, path]));
}

export async function removePeers(name: string, keys: readonly string[]): Promise<void> {
  // A few hundred at a time: an argument vector has its limits.
  for (let i = 0; i < keys.length; i += 200) {
    const words = keys.slice(i, i + 200).flatMap((key) => ['peer', key, 'remove']);
    await runOk(['wg', 'set', name, ...words]);
  }
}
