/** Numbers as a person reads them. Pure. */
import type { Health } from '../map-view.ts';

export const MARKS: Readonly<Record<Health, string>> = {
  good: '✓',
  known: '·',
  lossy: '!',
  stale: '…',
  waiting: '…',
  broken: '!',
  refused: '×',
};

/** Read out before a stack's name, where eyes see a colour. */
export const SPOKEN: Readonly<Record<Health, string>> = {
  good: 'connected',
  known: 'connected, not measured',
  lossy: 'loses packets',
  stale: 'silent',
  waiting: 'without a router',
  broken: 'nothing gets through',
  refused: 'refused',
};

export function milliseconds(ms: number): string {
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  return ms < 100 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

/** Powers of 1000, as networks are measured. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let [value, unit] = [count, 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`;
}
