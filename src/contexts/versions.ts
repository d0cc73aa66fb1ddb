/** Version numbers as programs print them. Pure. */

/** What the README promises: README, "What the host must have". Compose 1 is another program. */
export const OLDEST_ENGINE = '20.10';
export const OLDEST_COMPOSE = '2.0';
export const OLDEST_KERNEL = '5.10';

/** Leading numbers of `26.1.5+dfsg1`, `v2.26.1-4`, `6.1.0-18-amd64`. */
export function versionNumbers(text: string): number[] | undefined {
  const match = /^v?(\d+(?:\.\d+)*)/.exec(text.trim());
  return match?.[1]?.split('.').map(Number);
}

/** Whether `text` is at least `oldest`; false for what is no version. */
export function isAtLeast(text: string, oldest: string): boolean {
  const have = versionNumbers(text);
  const want = versionNumbers(oldest) ?? [];
  if (!have) return false;
  for (const [i, number] of want.entries()) {
    const other = have[i] ?? 0;
    if (other !== number) return other > number;
  }
  return true;
}
