/** Serf's list of members -> stacks, and what changed between two lists. Pure. */
import { type Identity, isNewer, parseWith, type StackRecord } from '../../record/record.ts';
import type { ReadRecord } from '../../trust/record-text.ts';
import type { SourceEvent } from '../source.ts';
import { ipv4Of, type Member, MemberSchema } from './rpc-codec.ts';
import { GOODBYE_TAG } from './tags.ts';

/** `IP:PORT` of a member. */
export type Endpoint = string;
/** A stack's id and instance. */
export type StackKey = string;

export interface Stack {
  readonly record: StackRecord;
  readonly endpoint: Endpoint;
}

export interface Stranger {
  readonly name: string;
  readonly kind: string;
  /** What is wrong with the member, in words. */
  readonly problem: string;
}

/** One look at the members. */
export interface View {
  /** Every other stack that is alive, by its key. */
  readonly stacks: ReadonlyMap<StackKey, Stack>;
  /** Stacks that said goodbye and are nowhere alive. */
  readonly left: ReadonlySet<StackKey>;
  /** Where members are alive, strangers and this one included. */
  readonly alive: ReadonlySet<Endpoint>;
  /** Members that are alive and no stacks. */
  readonly strangers: readonly Stranger[];
}

export const keyOf = ({ stack_id, instance }: Identity): StackKey => `${stack_id}/${instance}`;

export type ReadTags = (tags: Readonly<Record<string, string>>) => ReadRecord;

interface Draft {
  readonly stacks: Map<StackKey, Stack>;
  readonly left: Set<StackKey>;
  readonly alive: Set<Endpoint>;
  readonly strangers: Stranger[];
}

function admit(draft: Draft, member: Member, self: Identity, readTags: ReadTags): void {
  const address = ipv4Of(member.Addr);
  const { [GOODBYE_TAG]: goodbye, ...tags } = member.Tags ?? {};
  const isLeaving = goodbye !== undefined || member.Status === 'leaving' || member.Status === 'left';
  const isAlive = member.Status === 'alive' && !isLeaving;
  const endpoint = `${address}:${member.Port}`;
  if (isAlive && address !== undefined) draft.alive.add(endpoint);
  const parsed = readTags(tags);
  if (!parsed.ok) {
    const { kind, error: problem } = parsed;
    if (isAlive && kind !== 'own') draft.strangers.push({ name: member.Name, kind, problem });
    return;
  }
  const record = parsed.value;
  const key = keyOf(record);
  if (key === keyOf(self)) return;
  if (isLeaving) draft.left.add(key);
  if (!isAlive || address === undefined) return;
  // A stack that was restarted is there twice until its old entry has died.
  const known = draft.stacks.get(key);
  if (!known || isNewer(record, known.record)) draft.stacks.set(key, { record, endpoint });
}

/** `self` is left out: a stack is never told of itself. */
export function readMembers(members: readonly unknown[], self: Identity, readTags: ReadTags): View {
  const draft: Draft = { stacks: new Map(), left: new Set(), alive: new Set(), strangers: [] };
  for (const input of members) {
    const member = parseWith(MemberSchema, input);
    if (member.ok) admit(draft, member.value, self, readTags);
    else draft.strangers.push({ name: 'a member', kind: 'no stack', problem: member.error });
  }
  for (const key of draft.stacks.keys()) draft.left.delete(key);
  return draft;
}

/**
 * Milliseconds for which a stack stays that is gone without a goodbye. Serf takes an agent for dead after some five seconds of silence, and one that was
 * only paused, or had no turn on a busy host, is back in the next: its traffic went on all the time (docs/decisions/0031).
 */
export const FADE_MS = 3000;

/** What a table that knows `before` must be told to know `after`: an upsert for what is new or changed, a removal for what is gone; at once for who said so. */
export function differences(
  before: ReadonlyMap<StackKey, Stack>,
  after: ReadonlyMap<StackKey, Stack>,
  left: ReadonlySet<StackKey>,
): SourceEvent[] {
  const events: SourceEvent[] = [];
  for (const [key, { record }] of after) {
    const known = before.get(key)?.record;
    if (!known || known.boot !== record.boot || known.seq !== record.seq) events.push({ type: 'upsert', record });
  }
  for (const [key, { record }] of before) {
    if (after.has(key)) continue;
    const { stack_id, instance, boot, seq } = record;
    const fading = left.has(key) ? {} : { fadeMs: FADE_MS };
    events.push({ type: 'remove', gone: { stack_id, instance, boot, seq }, ...fading });
  }
  return events;
}

/** `before` with all of `after`: while an agent that has just started has not met everybody again, nobody counts as gone, save who said so. */
export function merged(before: ReadonlyMap<StackKey, Stack>, view: View): Map<StackKey, Stack> {
  const kept = [...before].filter(([key]) => !view.left.has(key));
  return new Map([...kept, ...view.stacks]);
}

/** A member's name for a log line: it may call itself anything. */
export function printable(name: string): string {
  return JSON.stringify(name.replace(/[^\x20-\x7e]/g, '?').slice(0, 60));
}
