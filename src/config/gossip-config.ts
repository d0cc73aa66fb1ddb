/** Variables of DISCOVERY_MODE=gossip. */
import { isHostAddress, parseIpv4 } from '../net/ipv4.ts';
import { port } from './parsers.ts';
import { list, oneOf, type Parse, type Variables } from './variables.ts';

export const GOSSIP_PROFILES = ['lan', 'wan', 'local'] as const;
/** Serf's own sets of timings: how often members are asked whether they live, and how long one may be silent. */
export type GossipProfile = (typeof GOSSIP_PROFILES)[number];

/** Where a member may be met. Without a port: on GOSSIP_PORT or one of the next few, since stacks of one host take one each. */
export interface Seed {
  readonly host: string;
  readonly port: number | undefined;
}

export interface GossipConfig {
  readonly seeds: readonly Seed[];
  /** The first port that is tried. */
  readonly port: number;
  /** Base64. The first one seals, all of them open; empty: gossip is not encrypted. */
  readonly keys: readonly string[];
  readonly profile: GossipProfile;
}

/** memberlist takes AES-128, AES-192 and AES-256. */
const KEY_BYTES = [16, 24, 32];
/** RFC 1123 section 2.1; a name that looks like an address must be one. */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

export const seed: Parse<Seed> = (text) => {
  const wrong = new Error('must be a list of HOST or HOST:PORT, such as 10.0.1.5,10.0.1.6:7946');
  const [host = '', portText, ...more] = text.split(':');
  if (more.length > 0 || !HOST_NAME.test(host)) throw wrong;
  if (/^[0-9.]+$/.test(host)) {
    const address = parseIpv4(host);
    if (address === undefined || !isHostAddress(address)) throw wrong;
  }
  if (portText === undefined) return { host, port: undefined };
  try {
    return { host, port: port(portText) };
  } catch {
    throw wrong;
  }
};

export function isGossipKey(text: string): boolean {
  const bytes = Buffer.from(text, 'base64');
  // Node skips what is not base64; a key that does not come back the same was damaged.
  return KEY_BYTES.includes(bytes.length) && bytes.toString('base64') === text;
}

function readKeys(vars: Variables): string[] {
  const keys = (vars.secret('GOSSIP_ENCRYPT_KEY') ?? '').split(/[\s,]+/).filter((key) => key !== '');
  // The value is a secret, so only its place stands in the message.
  for (const [index, key] of keys.entries()) {
    if (isGossipKey(key)) continue;
    vars.problem(
      `GOSSIP_ENCRYPT_KEY must be 16, 24 or 32 bytes in base64, as "openssl rand -base64 32" makes them; key ${index + 1} of ${keys.length} is not`,
    );
  }
  return [...new Set(keys)];
}

export function readGossip(vars: Variables): GossipConfig {
  return {
    seeds: vars.optional('GOSSIP_SEEDS', list(seed), []),
    port: vars.optional('GOSSIP_PORT', port, 7946),
    keys: readKeys(vars),
    profile: vars.optional('GOSSIP_PROFILE', oneOf(...GOSSIP_PROFILES), 'lan'),
  };
}
