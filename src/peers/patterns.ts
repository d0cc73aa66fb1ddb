/** ALLOW_STACKS and DENY_STACKS: which stacks may be peers at all. Pure. */

/** Whether `id` matches a pattern in which `*` stands for any characters and `?` for one. Linear in the id for each `*`: no pattern makes it slow. */
export function matches(pattern: string, id: string): boolean {
  let [p, i, star, retry] = [0, 0, -1, 0];
  while (i < id.length) {
    if (pattern[p] === '*') {
      star = p;
      p += 1;
      retry = i;
    } else if (pattern[p] === '?' || pattern[p] === id[i]) {
      p += 1;
      i += 1;
    } else if (star >= 0) {
      // The last star takes one more character.
      p = star + 1;
      retry += 1;
      i = retry;
    } else return false;
  }
  return /^\**$/.test(pattern.slice(p));
}

export interface StackFilter {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

/** Why a stack is not wanted here; undefined when it is. */
export function unwanted(id: string, { allow, deny }: StackFilter): string | undefined {
  const denied = deny.find((pattern) => matches(pattern, id));
  if (denied !== undefined) return `stack ${id} is not wanted here; DENY_STACKS has ${denied}`;
  if (allow.length === 0 || allow.some((pattern) => matches(pattern, id))) return undefined;
  return `stack ${id} is not wanted here; ALLOW_STACKS is ${allow.join(',').slice(0, 200)}`;
}
