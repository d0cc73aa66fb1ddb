/** Where a context's engine is: `local` or an address for ssh. Pure. */
import { isIPv6 } from 'node:net';

/** The machine that runs the tools. */
export const LOCAL = 'local';

export interface SshAddress {
  readonly user?: string;
  /** Name, IPv4 or IPv6 literal without brackets, or an alias of the user's ssh configuration. */
  readonly host: string;
  readonly port?: number;
}

// Neither user nor host can begin with a hyphen: ssh would take it for an option.
const USER = '[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}';
const NAME = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}';
const IPV6 = '\\[[0-9A-Fa-f:.]{2,45}(?:%25[A-Za-z0-9_.-]{1,15})?\\]';
const PORT = '[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]';
const SSH = new RegExp(`^ssh://(?:(${USER})@)?(${NAME}|${IPV6})(?::(${PORT}))?$`);

/** What the published JSON schema says of `host`. */
export const HOST_PATTERN = `^(?:${LOCAL}|ssh://(?:${USER}@)?(?:${NAME}|${IPV6})(?::(?:${PORT}))?)$`;

/** `ssh://[user@]host[:port]` -> its parts; undefined for anything else. */
export function parseSshUrl(text: string): SshAddress | undefined {
  const [matched, user, name, port] = SSH.exec(text) ?? [];
  if (matched === undefined || name === undefined) return undefined;
  const literal = name.startsWith('[');
  // RFC 6874: the zone of a link-local address is written %25 in a URL.
  const host = literal ? name.slice(1, -1).replace('%25', '%') : name;
  if (literal && !isIPv6(host)) return undefined;
  return { host, ...(user && { user }), ...(port && { port: Number(port) }) };
}

/** Whether `text` is something a context's `host` may be. */
export const isHost = (text: string): boolean => text === LOCAL || parseSshUrl(text) !== undefined;

/** ssh's own arguments for an address; whatever follows them is the remote command. */
export function sshArguments({ user, host, port }: SshAddress): string[] {
  return [...(user ? ['-l', user] : []), ...(port ? ['-p', String(port)] : []), '--', host];
}

/** As a person types it after `ssh`, for remedies. */
export function sshWords({ user, host, port }: SshAddress): string {
  return `${port ? `-p ${port} ` : ''}${user ? `${user}@` : ''}${host}`;
}
