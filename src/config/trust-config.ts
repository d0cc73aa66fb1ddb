/** Variables of trust: DISCOVERY_KEYS, IDENTITY_DIR, TRUSTED_PEERS, CLOCK_TOLERANCE. */
import { stackId } from './parsers.ts';
import { duration, list, type Parse, type Variables } from './variables.ts';

export interface TrustConfig {
  /** 32 bytes each. The first seals, all of them open; empty: nothing is sealed. */
  readonly keys: readonly Buffer[];
  /** Read again when it changes. */
  readonly keysFile: string | undefined;
  /** Folder of the identity and of what is known of others'; undefined: this stack signs nothing. */
  readonly identityDir: string | undefined;
  /** Stack id -> fingerprint. Empty: the first identity seen with an id is bound to it. */
  readonly trustedPeers: ReadonlyMap<string, string>;
  /** How far another host's clock may be from this one's. */
  readonly clockToleranceMs: number;
}

const KEY_BYTES = 32;
const MAX_KEYS = 16;

/**
 * Keys in base64, separated by commas, spaces or lines; a line may end with a comment behind `#`.
 * @throws Error that completes "NAME ..." and holds nothing of a key.
 */
export function parseKeys(text: string): Buffer[] {
  const words = text
    .split('\n')
    .flatMap((line) => line.replace(/#.*/, '').split(/[\s,]+/))
    .filter((word) => word !== '');
  const keys = [...new Set(words)].map((word, index) => {
    const key = Buffer.from(word, 'base64');
    // Node skips what is not base64; a key that does not come back the same was damaged.
    if (key.length === KEY_BYTES && key.toString('base64') === word) return key;
    throw new Error(
      `must be 32 bytes in base64, as "openssl rand -base64 32" makes them; key ${index + 1} of ${words.length} is not`,
    );
  });
  if (keys.length === 0) throw new Error('holds no key; "openssl rand -base64 32" makes one');
  if (keys.length > MAX_KEYS)
    throw new Error(`holds more than ${MAX_KEYS} keys; remove those that nobody uses any more`);
  return keys;
}

const trustedPeer: Parse<readonly [string, string]> = (text) => {
  const [id = '', fingerprint = '', ...more] = text.split('=');
  if (more.length > 0 || !/^[0-9a-f]{32}$/.test(fingerprint))
    throw new Error('must be a list of STACK=FINGERPRINT, as "docker-router trust list" shows them');
  return [stackId(id), fingerprint];
};

function readKeys(vars: Variables): Buffer[] {
  const text = vars.secret('DISCOVERY_KEYS');
  if (text === undefined) return [];
  try {
    return parseKeys(text);
  } catch (cause) {
    // The value is a secret, so it does not stand in the message.
    vars.problem(`DISCOVERY_KEYS ${(cause as Error).message}`);
    return [];
  }
}

/** undefined when neither keys nor an identity are wanted. */
export function readTrust(vars: Variables): TrustConfig | undefined {
  const keys = readKeys(vars);
  const config = {
    keys,
    keysFile: vars.text('DISCOVERY_KEYS_FILE'),
    identityDir: vars.text('IDENTITY_DIR'),
    trustedPeers: new Map(vars.optional('TRUSTED_PEERS', list(trustedPeer), [])),
    clockToleranceMs: vars.optional('CLOCK_TOLERANCE', duration(1000, 86_400_000), 300_000),
  };
  if (config.identityDir !== undefined && config.identityDir === (vars.text('STATE_DIR') ?? '/var/lib/docker-router'))
    vars.problem('IDENTITY_DIR must not be the shared volume, which others read; mount a volume of its own');
  const wanted = keys.length > 0 || config.keysFile !== undefined || config.identityDir !== undefined;
  if (!wanted && config.trustedPeers.size > 0)
    vars.problem('TRUSTED_PEERS needs DISCOVERY_KEYS or IDENTITY_DIR: without them nobody signs');
  return wanted ? config : undefined;
}
