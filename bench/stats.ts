/** Statistics of samples. Pure. */

/** Value below which `share` (0 to 1) of the samples lie, by the nearest rank. @throws RangeError without samples. */
export function percentile(samples: readonly number[], share: number): number {
  if (samples.length === 0) throw new RangeError('no samples');
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;
}

export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length === 0) throw new RangeError('no samples');
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Median of the ratios round by round: what slows a whole round down, another program say, does not count. */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): number {
  const rounds = Math.min(ours.length, theirs.length);
  return median(Array.from({ length: rounds }, (_, round) => ours[round]! / theirs[round]!));
}

export type Variant<T> = () => Promise<T | undefined>;

/**
 * Runs every variant once a round, each round beginning with another one, so that none always comes after the same neighbour.
 * A variant that has no value in a round (undefined) drops out of that round only.
 */
export async function interleaved<T>(
  rounds: number,
  variants: Readonly<Record<string, Variant<T>>>,
): Promise<Record<string, T[]>> {
  const names = Object.keys(variants);
  const samples: Record<string, T[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    const order = names.map((_, i) => names[(i + round) % names.length]!);
    for (const name of order) {
      const value = await variants[name]!();
      if (value !== undefined) samples[name]!.push(value);
    }
  }
  return samples;
}
