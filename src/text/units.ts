/** Quantities as people read them. Pure. */

/** `0.123 ms`: three digits that mean something. */
export function formatMs(ms: number): string {
  return `${ms < 1 ? ms.toFixed(3) : ms.toPrecision(3)} ms`;
}

/** `9.81 Gbit/s`, `742 Mbit/s`. */
export function formatRate(bitsPerSecond: number): string {
  const mega = bitsPerSecond / 1e6;
  if (mega >= 1000) return `${(mega / 1000).toPrecision(3)} Gbit/s`;
  return `${mega >= 100 ? mega.toFixed(0) : mega.toPrecision(3)} Mbit/s`;
}

/** `812 B`, `1.23 MB`: powers of ten. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

/** `7 s`, `3 min`, `5 h`, `2 d`: how long ago, in whole units. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
