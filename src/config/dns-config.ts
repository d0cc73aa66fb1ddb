/** Variables of DISCOVERY_MODE=dns. */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { duration, integer, list, oneOf, type Parse, type Variables } from './variables.ts';

export interface DnsServer {
  readonly address: string;
  readonly port: number;
}

/** RFC 8945 section 6: the ones a server of today must or may have; those on MD5 and SHA-1 are left out. */
export const TSIG_ALGORITHMS = ['hmac-sha256', 'hmac-sha384', 'hmac-sha512'] as const;
export type TsigAlgorithm = (typeof TSIG_ALGORITHMS)[number];

export interface TsigKey {
  /** A domain name without the dot at its end. */
  readonly name: string;
  readonly algorithm: TsigAlgorithm;
  readonly secret: Buffer;
}

export interface DnsConfig {
  readonly domain: string;
  /** Asked in this order; empty: those of resolv.conf. */
  readonly servers: readonly DnsServer[];
  /** Absent: this stack only reads, and an operator lists it. */
  readonly update: { readonly server: DnsServer; readonly key: TsigKey } | undefined;
  readonly ttlSeconds: number;
  readonly intervalMs: number;
}

const DNS_PORT = 53;
/** RFC 1035 section 2.3.4: 255 bytes a name, of which the longest one here needs 85 beside the domain. */
const MAX_DOMAIN = 168;
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$/;
/** What `tsig-keygen` prints. */
const KEY_FILE = /key\s+"?([^\s"{]+)"?\s*\{\s*algorithm\s+"?([\w-]+)"?;\s*secret\s+"?([A-Za-z0-9+/=]+)"?;\s*\}/;
/** Shorter secrets can be guessed; `tsig-keygen` makes them as long as the hash (RFC 8945 section 8). */
const MIN_SECRET_BYTES = 16;

const domain: Parse<string> = (text) => {
  const name = text.toLowerCase().replace(/\.$/, '');
  if (name.length > MAX_DOMAIN || !name.split('.').every((label) => LABEL.test(label)))
    throw new Error(`must be a domain name of at most ${MAX_DOMAIN} characters, such as docker.example.com`);
  return name;
};

/** `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]:PORT`; IPv6 with a port only in brackets. */
export const dnsServer: Parse<DnsServer> = (text) => {
  const match = isIPv6(text) ? [text, text] : /^\[?([0-9a-fA-F:.]+?)\]?(?::(\d{1,5}))?$/.exec(text);
  const address = match?.[1] ?? '';
  const port = Number(match?.[2] ?? DNS_PORT);
  const bracketed = text.startsWith('[') && text.includes(']');
  if (isIP(address) === 0 || (isIPv4(address) ? text.startsWith('[') : !bracketed && text !== address))
    throw new Error('must be an address, such as 10.0.0.53 or 10.0.0.53:5353');
  if (port < 1 || port > 65535) throw new Error('must have a port from 1 to 65535');
  return { address, port };
};

const algorithm = oneOf(...TSIG_ALGORITHMS);

/** Secret in base64, or a whole `key "..." { ... };` statement as BIND and tsig-keygen write it. */
function readKey(vars: Variables): TsigKey | undefined {
  const given = { name: vars.optional('DNS_TSIG_NAME', domain, undefined), text: vars.secret('DNS_TSIG_SECRET') };
  const named = vars.optional('DNS_TSIG_ALGORITHM', algorithm, undefined);
  if (given.text === undefined) {
    vars.problem('DNS_UPDATE_SERVER needs DNS_TSIG_SECRET or DNS_TSIG_SECRET_FILE: updates are always signed');
    return undefined;
  }
  const file = KEY_FILE.exec(given.text);
  const name = given.name ?? file?.[1]?.toLowerCase().replace(/\.$/, '');
  if (name === undefined) {
    vars.problem('DNS_TSIG_NAME is required with DNS_UPDATE_SERVER: the name of the key on the server');
    return undefined;
  }
  const secret = (file?.[3] ?? given.text).replace(/\s/g, '');
  const bytes = Buffer.from(secret, 'base64');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(secret) || bytes.length < MIN_SECRET_BYTES) {
    const what = `at least ${MIN_SECRET_BYTES} bytes in base64, or a key file of tsig-keygen`;
    vars.problem(`DNS_TSIG_SECRET must be ${what} (its value is not shown here)`);
    return undefined;
  }
  const kind = named ?? TSIG_ALGORITHMS.find((known) => known === file?.[2]?.toLowerCase());
  if (kind === undefined && file) {
    vars.problem(`the key file's algorithm ${file[2]} is not one of ${TSIG_ALGORITHMS.join(', ')}`);
    return undefined;
  }
  return { name, algorithm: kind ?? 'hmac-sha256', secret: bytes };
}

function readUpdate(vars: Variables): DnsConfig['update'] {
  const server = vars.optional('DNS_UPDATE_SERVER', dnsServer, undefined);
  if (vars.text('DNS_UPDATE_SERVER') === undefined) {
    const idle = ['DNS_TSIG_NAME', 'DNS_TSIG_SECRET', 'DNS_TSIG_SECRET_FILE'].find((name) => vars.text(name));
    if (idle) vars.problem(`${idle} has no use without DNS_UPDATE_SERVER, the primary server of the zone`);
    return undefined;
  }
  const key = readKey(vars);
  return server && key && { server, key };
}

/** PEER_TIMEOUT where it is well-formed; that it is not is said by who owns it. */
function peerTimeout(vars: Variables): number | undefined {
  try {
    return duration(0, Number.MAX_SAFE_INTEGER)(vars.text('PEER_TIMEOUT') ?? '90s');
  } catch {
    return undefined;
  }
}

export function readDns(vars: Variables): DnsConfig {
  const name = vars.required('DNS_DOMAIN', domain, 'docker.example.com');
  const intervalMs = vars.optional('DNS_INTERVAL', duration(200, 3_600_000), 5000);
  const ttlSeconds = vars.optional('DNS_TTL', integer(0, 86_400), Math.ceil(intervalMs / 1000));
  const timeout = peerTimeout(vars);
  if (timeout !== undefined && timeout < 6 * intervalMs)
    vars.problem('PEER_TIMEOUT must be at least six times DNS_INTERVAL, or a late answer removes a peer');
  if (timeout !== undefined && ttlSeconds > 0 && timeout < 3000 * ttlSeconds)
    vars.problem('PEER_TIMEOUT must be at least three times DNS_TTL, or a renewal hides in a cache for too long');
  const update = readUpdate(vars);
  const servers = vars.optional('DNS_SERVERS', list(dnsServer), update ? [update.server] : []);
  return { domain: name ?? '', servers, update, ttlSeconds, intervalMs };
}
