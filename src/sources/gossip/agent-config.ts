/** What a Serf agent is told when it starts. Pure. */
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { type GossipProfile, isGossipKey } from '../../config/gossip-config.ts';
import { parseJson, type StackRecord } from '../../record/record.ts';

/** Serf looks for the next free port this far. */
export const PORTS = 64;
export const MAX_KEYRING_BYTES = 64 * 1024;

export interface AgentSettings {
  readonly name: string;
  /** Address the sockets are bound to; 0.0.0.0 where no interface of the host owns `advertise`. */
  readonly bind: string;
  /** Address the others reach this one by: HOST_IP. */
  readonly advertise: string;
  readonly port: number;
  readonly rpcPort: number;
  /** Secret that opens the RPC, which every user of the host can connect to. */
  readonly rpcToken: string;
  readonly profile: GossipProfile;
  readonly tags: Readonly<Record<string, string>>;
  /** undefined: gossip is not encrypted. */
  readonly keyringFile: string | undefined;
}

/**
 * A name that nobody else in the gossip has: the stack's id for people, and a part that differs for every address and port. Serf
 * would otherwise refuse a stack that comes back with another address until its old entry has died, and would let two stacks that
 * claim one id push each other out; the peer table knows better how to decide that. A restart does not change the name: old
 * entries count as members for half a minute, and the more members there are, the more of them must agree that one is dead.
 */
export function nodeName(
  record: Pick<StackRecord, 'stack_id' | 'instance' | 'host_ip'>,
  port: number,
  anonymous = false,
): string {
  const { stack_id, instance, host_ip } = record;
  const hash = createHash('sha256').update(`${instance} ${host_ip} ${port}`).digest('hex');
  return anonymous ? hash.slice(0, 24) : `${stack_id}.${hash.slice(0, 8)}`;
}

/** Text of the agent's configuration file. It holds the RPC token, so it must not be readable by others. */
export function agentConfig(settings: AgentSettings): string {
  const { name, bind, advertise, port, rpcPort, rpcToken, profile, tags, keyringFile } = settings;
  const config = {
    node_name: name,
    bind: `${bind}:${port}`,
    advertise: `${advertise}:${port}`,
    rpc_addr: `127.0.0.1:${rpcPort}`,
    rpc_auth: rpcToken,
    profile,
    tags,
    ...(keyringFile !== undefined && { keyring_file: keyringFile }),
    // Serf delays its events by a second or more; its debug lines come at once, and say when to look at the members again.
    log_level: 'DEBUG',
    // What follows is not used here.
    disable_coordinates: true,
    disable_name_resolution: true,
    leave_on_terminate: true,
    // A stack's old entries are of no use for long: the source itself goes on looking for lost members.
    reconnect_timeout: '1h',
    tombstone_timeout: '10m',
  };
  return JSON.stringify(config, undefined, 2);
}

/** Variables with which the `serf` command reaches the agent. */
export function rpcEnvironment(settings: Pick<AgentSettings, 'rpcPort' | 'rpcToken'>): string {
  return `SERF_RPC_ADDR=127.0.0.1:${settings.rpcPort}\nSERF_RPC_AUTH=${settings.rpcToken}\n`;
}

const KeyringSchema = v.pipe(
  v.array(v.pipe(v.string(), v.check(isGossipKey, 'is no key'))),
  v.minLength(1),
  v.maxLength(64),
);

/**
 * The key ring for an agent that starts: what the last agent left, since `serf keys` may have changed it, or else the configured keys.
 * `left` is undefined at the first start, and damaged when an agent died while it wrote.
 */
export function keyring(left: string | undefined, configured: readonly string[]): readonly string[] {
  const parsed = left === undefined ? undefined : parseJson(KeyringSchema, left, MAX_KEYRING_BYTES);
  return parsed?.ok ? parsed.value : configured;
}
