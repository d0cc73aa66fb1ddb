/** What a look-up found, before it becomes a message. */
export type Found =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  /** `SERVICE.STACK`, for a reverse query. */
  | { readonly kind: 'name'; readonly name: string }
  /** The name exists and has nothing of that type. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'failed' };

export const NOTHING: Found = { kind: 'nothing' };
export const UNKNOWN: Found = { kind: 'unknown' };
export const FAILED: Found = { kind: 'failed' };

/** A new order each time, so that clients that take the first address spread over the replicas. */
export function shuffled<T>(items: readonly T[]): T[] {
  const list = [...items];
  for (let i = list.length - 1; i > 0; i -= 1) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}
