/** Probes the other routers and writes down, every now and then, what that says and what came from them: status.json. */
import { join } from 'node:path';
import type { RouterConfig } from '../config/router-config.ts';
import { type Received, received, receivedFrom } from '../kernel/received.ts';
import { Prober } from '../probe/prober.ts';
import { type Reach, summary } from '../probe/reach.ts';
import { type Clock, isoTime } from '../process/clock.ts';
import { writeAtomic } from '../state/atomic-file.ts';
import type { PeerEntry } from '../state/discovery-file.ts';
import type { PeerStatus, StatusFile } from '../state/status-file.ts';
import type { Pass } from './reconcile.ts';

/** A file is written after every round of probes; with thousands of peers less often, since each takes a listing of them all. */
const WRITE_MS_PER_PEER = 10;
/** A first file soon after a peer has come: its first probe is answered by then. */
const FIRST_MS = 1000;

type Routed = Pick<PeerEntry, 'stack_id' | 'subnets'>;

const round = (value: number, digits: number) => Number(value.toFixed(digits));

function peerStatus(peer: Routed, reach: Reach | undefined, came: Received | undefined): PeerStatus {
  const seen = reach && summary(reach);
  return {
    stack_id: peer.stack_id,
    ...(seen && { loss: round(seen.loss, 3), probes: seen.probes, silent: seen.silent }),
    ...(seen?.roundTripMs !== undefined && { round_trip_ms: round(seen.roundTripMs, 3) }),
    ...(reach?.clockOffsetMs !== undefined && { clock_offset_ms: Math.round(reach.clockOffsetMs) }),
    ...(reach?.answeredAt !== undefined && { last_answer: isoTime(reach.answeredAt) }),
    ...(came && { received_bytes: came.bytes, received_packets: came.packets }),
  };
}

export class StatusReport {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #prober: Prober;
  readonly #onError: (message: string) => void;
  #peers: readonly Routed[] = [];
  #measured: readonly PeerStatus[] = [];
  #timer: NodeJS.Timeout | undefined;
  #due = Number.POSITIVE_INFINITY;
  #stopped = false;

  /** @param onError told, in words, what could not be probed or written */
  constructor(config: Pick<RouterConfig, 'stateDir' | 'probeMs'>, clock: Clock, onError: (message: string) => void) {
    this.#intervalMs = config.probeMs;
    this.#clock = clock;
    this.#path = join(config.stateDir, 'status.json');
    this.#onError = onError;
    this.#prober = new Prober(config.probeMs, clock, onError);
  }

  /** Takes over whom the last pass routed. */
  follow({ accepted, gatewayIp }: Pass): void {
    const peers = accepted?.peers.filter(({ subnets, gateway_ip }) => subnets.length > 0 && gateway_ip) ?? [];
    const news =
      peers.length !== this.#peers.length || peers.some(({ stack_id }, i) => stack_id !== this.#peers[i]?.stack_id);
    this.#peers = peers;
    this.#prober.watch(
      gatewayIp,
      peers.map(({ stack_id, gateway_ip }) => ({ stack_id, gateway_ip: gateway_ip! })),
    );
    if (news || this.#timer === undefined) this.#writeIn(FIRST_MS);
  }

  /** What the last status.json says of the peers. */
  get measured(): readonly PeerStatus[] {
    return this.#measured;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#prober.stop();
  }

  #writeIn(ms: number): void {
    const due = this.#clock.monotonic() + ms;
    if (this.#stopped || (this.#timer !== undefined && this.#due <= due)) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#write().finally(() =>
        this.#writeIn(Math.max(this.#intervalMs, this.#peers.length * WRITE_MS_PER_PEER)),
      );
    }, ms);
    this.#timer.unref();
  }

  async #write(): Promise<void> {
    try {
      const came = this.#peers.length > 0 ? await received() : new Map<string, Received>();
      const reaches = this.#prober.reaches();
      const peers = this.#peers.map((peer) =>
        peerStatus(peer, reaches.get(peer.stack_id), receivedFrom(came, peer.subnets)),
      );
      const file: StatusFile = { version: 1, last_update: isoTime(this.#clock.wall()), peers };
      this.#measured = peers;
      // Old after ten seconds: not worth waiting for the disk.
      await writeAtomic(this.#path, `${JSON.stringify(file)}\n`, 0o644, false);
    } catch (cause) {
      this.#onError(`status.json: ${(cause as Error).message}`);
    }
  }
}
