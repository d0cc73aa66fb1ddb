/** Gates for tests: stacks of a group, with keys, identities and a clock that the test moves. */
import { generateKeyPairSync, sign } from 'node:crypto';
import type { TrustConfig } from '../../src/config/trust-config.ts';
import type { Clock } from '../../src/process/clock.ts';
import { Gate } from '../../src/trust/gate.ts';
import { fingerprintOf, type OwnIdentity } from '../../src/trust/identity.ts';

/** A clock that stands until it is moved. */
export class HandClock implements Clock {
  #wall: number;
  #monotonic = 1000;

  constructor(wall = Date.UTC(2026, 0, 1)) {
    this.#wall = wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  wall(): number {
    return this.#wall;
  }

  advance(ms: number): void {
    this.#wall += ms;
    this.#monotonic += ms;
  }
}

export function newIdentity(): OwnIdentity {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  return { publicKey: raw, fingerprint: fingerprintOf(raw), sign: (data) => sign(null, data, privateKey) };
}

/** Key number n. */
export const key = (n: number): Buffer => Buffer.alloc(32, n);

export interface GateOptions extends Partial<TrustConfig> {
  readonly identity?: OwnIdentity | undefined;
  readonly clock?: Clock;
  readonly boot?: number;
}

/** With key 1 and an identity unless told otherwise; what it learns is kept in memory unless `identityDir` is given. */
export function gate(stackId: string, options: GateOptions = {}): Gate {
  const { identity = newIdentity(), clock = new HandClock(), boot, ...config } = options;
  return new Gate({
    stackId,
    config: {
      keys: [key(1)],
      keysFile: undefined,
      identityDir: undefined,
      trustedPeers: new Map(),
      clockToleranceMs: 300_000,
      ...config,
    },
    identity: 'identity' in options ? options.identity : identity,
    clock,
    boot: boot ?? clock.wall(),
    changed: () => undefined,
  });
}
