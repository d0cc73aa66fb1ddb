/** Lines that a Serf agent prints -> what they mean here. Pure. Nothing depends on a line: each is a hint to look, or a report to people. */

export type Line =
  /** The members have changed, or soon will have. */
  | { readonly kind: 'hint' }
  /** Somebody else's gossip, or what is not gossip at all. */
  | { readonly kind: 'stranger'; readonly what: string; readonly message: string }
  /** Why the agent does not start. */
  | { readonly kind: 'fatal'; readonly message: string }
  | { readonly kind: 'other' };

export const MAX_LINE = 4096;

const HINT = /\] serf: (EventMember|message(Join|Leave)Type)/;
const FATAL = /^==> ((?:Failed|Error|Invalid|Unknown).{0,500})/;
const OTHER_KEY =
  /No installed keys could decrypt|Encryption is configured but remote state is not encrypted|Remote state is encrypted and encryption is not configured/;
/** What memberlist received and could not read: a stream or a datagram, with where it came from. */
const UNREADABLE = /\] memberlist: (.{1,200}?) from=([0-9.]+)(?::\d+)?$/;
/** Connections that merely ended, and what is no fault of the sender. */
const HARMLESS = /EOF|reset by peer|timeout|broken pipe|Failed to send|queue full|unexpected node|Stream connection/;

export function readLine(text: string): Line {
  // Names of members stand in some lines, and a member may call itself anything.
  const line = text.replace(/[^\x20-\x7e]/g, '?');
  if (HINT.test(line)) return { kind: 'hint' };
  const fatal = FATAL.exec(line);
  if (fatal) return { kind: 'fatal', message: fatal[1]! };
  const [, what, from] = UNREADABLE.exec(line) ?? [];
  if (what === undefined || HARMLESS.test(what)) return { kind: 'other' };
  if (OTHER_KEY.test(what)) {
    const message = `from ${from}: its GOSSIP_ENCRYPT_KEY is not this stack's, or one of the two has none`;
    return { kind: 'stranger', what: 'gossip with another key', message };
  }
  return { kind: 'stranger', what: 'unreadable gossip', message: `from ${from}: ${what}` };
}

/** Why a join was refused, in words a person can act on; `cause` is Serf's own. */
export function joinTrouble(endpoint: string, cause: string): string {
  if (OTHER_KEY.test(cause))
    return `${endpoint} gossips with another key; set the same GOSSIP_ENCRYPT_KEY on every stack`;
  const reason = /Failed to join [^:]+(?::\d+)?: (.*)/.exec(cause)?.[1] ?? cause;
  return `${endpoint} does not answer as a member: ${reason.trim().slice(0, 200)}`;
}

/** Cuts chunks into lines and gives each one on; of a longer one than MAX_LINE only the beginning. */
export function lineSplitter(onLine: (line: string) => void): (chunk: Buffer) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = (lines.pop() ?? '').slice(0, MAX_LINE);
    for (const line of lines) onLine(line.slice(0, MAX_LINE).trim());
  };
}
