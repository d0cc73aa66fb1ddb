/** Sends signed updates to a zone's primary server and learns that server's clock from its signatures. */
import { randomInt } from 'node:crypto';
import type { DnsServer, TsigKey } from '../../config/dns-config.ts';
import type { Clock } from '../../process/clock.ts';
import { ask, TCP_TIMEOUT_MS } from './ask.ts';
import { type Change, decodeUpdateAnswer, encodeUpdate, type Prerequisite } from './message.ts';
import { label, overTcp } from './transport.ts';
import { sign, type Verified, verify } from './tsig.ts';
import { queryRefused, updateRefused } from './words.ts';

/** RFC 2136 section 2.2: the codes of prerequisites that did not hold. */
const PREREQUISITE_CODES = ['YXDOMAIN', 'YXRRSET', 'NXRRSET', 'NXDOMAIN'];

export interface ZoneUpdate {
  readonly prerequisites: readonly Prerequisite[];
  readonly changes: readonly Change[];
}

/** The update was not made, for a reason that the message tells a person. */
export class UpdateFailed extends Error {
  /** The server fails, not this stack: the others cannot renew either. */
  readonly serverFails: boolean;
  constructor(message: string, serverFails: boolean) {
    super(message);
    this.serverFails = serverFails;
  }
}

export class Updater {
  readonly #server: DnsServer;
  readonly #key: TsigKey;
  readonly #clock: Clock;
  readonly #domain: string;
  #zone: string | undefined;
  /** Server's clock less this host's; 0 until the server has answered for the first time. */
  aheadMs = 0;

  constructor(server: DnsServer, key: TsigKey, domain: string, clock: Clock) {
    this.#server = server;
    this.#key = key;
    this.#domain = domain;
    this.#clock = clock;
  }

  /** The server's clock in seconds since 1970. */
  get nowSeconds(): number {
    return (this.#clock.wall() + this.aheadMs) / 1000;
  }

  /** Whether the update was made; false when a prerequisite did not hold. @throws UpdateFailed, NoAnswer, or the signal's reason. */
  async send({ prerequisites, changes }: ZoneUpdate, signal: AbortSignal): Promise<boolean> {
    const zone = await this.#findZone(signal);
    const id = randomInt(0x10000);
    const sentMs = this.#clock.wall();
    const request = sign(encodeUpdate({ id, zone, prerequisites, changes }), this.#key, Math.floor(sentMs / 1000));
    // TCP: a datagram would have to be repeated when it gets lost, and nobody could tell whether the first one was carried out.
    const { rcode, verdict } = await overTcp({
      server: this.#server,
      request: request.bytes,
      timeoutMs: TCP_TIMEOUT_MS,
      signal,
      read: (bytes) => {
        const code = decodeUpdateAnswer(bytes, id);
        return code.ok
          ? { ok: true, value: { rcode: code.value, verdict: verify(bytes, this.#key, request.mac) } }
          : code;
      },
    });
    if (verdict.ok) this.#setClock(verdict.value, sentMs);
    const proven = verdict.ok && verdict.value.error === undefined;
    if (proven && rcode === 'NOERROR') return true;
    if (proven && PREREQUISITE_CODES.includes(rcode)) return false;
    throw this.#failed(rcode, verdict, zone);
  }

  #failed(rcode: string, verdict: ReturnType<typeof verify>, zone: string): UpdateFailed {
    if (rcode === 'NOTAUTH' || rcode === 'NOTZONE') this.#zone = undefined;
    // Without a signature only a refusal is believed, which costs nothing but the message.
    if (!verdict.ok && (rcode === 'NOERROR' || PREREQUISITE_CODES.includes(rcode))) {
      return new UpdateFailed(`cannot list this stack: DNS server ${label(this.#server)}: ${verdict.error}`, true);
    }
    const tsigError = verdict.ok ? verdict.value.error : undefined;
    const aheadSeconds = this.aheadMs / 1000;
    const message = updateRefused({ rcode, tsigError, aheadSeconds }, this.#server, this.#key, zone);
    return new UpdateFailed(message, tsigError === undefined && rcode === 'SERVFAIL');
  }

  /** The server told whole seconds at some time between the request and now; the least difference that explains this is taken. */
  #setClock({ serverSeconds }: Verified, sentMs: number): void {
    if (serverSeconds === undefined) return;
    const least = serverSeconds * 1000 - this.#clock.wall();
    const most = (serverSeconds + 1) * 1000 - sentMs;
    this.aheadMs = least > 0 ? least : most < 0 ? most : 0;
  }

  /** The zone that holds the domain: the owner of the SOA record, which the server gives with the answer or with "no such name". */
  async #findZone(signal: AbortSignal): Promise<string> {
    if (this.#zone !== undefined) return this.#zone;
    const { rcode, authoritative, zone } = await ask(this.#server, { name: this.#domain, type: 'SOA' }, signal);
    if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN')
      throw new UpdateFailed(
        `cannot list this stack: ${queryRefused(rcode, this.#server, this.#domain)}`,
        rcode === 'SERVFAIL',
      );
    if (!authoritative || zone === undefined) {
      const message = `cannot list this stack: DNS server ${label(this.#server)} does not serve ${this.#domain} itself; DNS_UPDATE_SERVER must be the primary server of the zone`;
      throw new UpdateFailed(message, false);
    }
    this.#zone = zone;
    return zone;
  }
}
