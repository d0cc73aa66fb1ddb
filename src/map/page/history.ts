/** What was measured of each stack since the page was opened. */
import type { MapPeer, MapView } from '../map-view.ts';

export interface Sample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly roundTripMs?: number;
  readonly receivedBytes?: number;
}

const KEPT = 180;

export class History {
  readonly #samples = new Map<string, Sample[]>();

  /** Takes a view over; measurements that it has seen already do not count again. */
  add(view: MapView): void {
    if (!view.measured) return;
    const at = Date.parse(view.measured);
    for (const { key, roundTripMs, receivedBytes } of view.peers) {
      const samples = this.#samples.get(key) ?? [];
      if (samples.at(-1)?.at === at) continue;
      samples.push({ at, roundTripMs, receivedBytes });
      if (samples.length > KEPT) samples.shift();
      this.#samples.set(key, samples);
    }
    const present = new Set(view.peers.map(({ key }) => key));
    for (const key of this.#samples.keys()) if (!present.has(key)) this.#samples.delete(key);
  }

  of(key: string): readonly Sample[] {
    return this.#samples.get(key) ?? [];
  }

  /** Bytes a second between the last two measurements; undefined before there are two. A counter that went back began anew. */
  rate({ key }: Pick<MapPeer, 'key'>): number | undefined {
    const [before, last] = this.of(key).slice(-2);
    if (before?.receivedBytes === undefined || last?.receivedBytes === undefined) return undefined;
    const seconds = (last.at - before.at) / 1000;
    return seconds > 0 ? Math.max(0, last.receivedBytes - before.receivedBytes) / seconds : undefined;
  }
}
