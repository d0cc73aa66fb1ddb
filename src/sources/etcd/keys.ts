/** Keys of the stacks in etcd: `PREFIX/{stack-id}/record`. Pure. */

export const encode = (text: string): string => Buffer.from(text).toString('base64');
export const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');

export function recordKey(prefix: string, stackId: string): string {
  return `${prefix}/${stackId}/record`;
}

/** The stack id in a key; undefined when the key is not one of ours. Whether it is a valid id the record's own schema says. */
export function stackIdOf(prefix: string, key: string): string | undefined {
  if (!key.startsWith(`${prefix}/`) || !key.endsWith('/record')) return undefined;
  const id = key.slice(prefix.length + 1, -'/record'.length);
  return id === '' || id.includes('/') ? undefined : id;
}

/** All keys below the prefix. etcd's ranges are half open, and `0` is the character after `/`. */
export function everythingBelow(prefix: string): { key: string; range_end: string } {
  return { key: encode(`${prefix}/`), range_end: encode(`${prefix}0`) };
}

/** The smallest key after `key` (base64): where the next page begins. */
export function after(key: string): string {
  return Buffer.concat([Buffer.from(key, 'base64'), Buffer.from([0])]).toString('base64');
}
