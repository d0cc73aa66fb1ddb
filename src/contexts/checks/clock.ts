/** Clocks: the age of a stack decides between two claims to one subnet, and logs are read side by side. */
import type { AgentLink } from '../agent-link.ts';
import { failed, noted, passed, type Verdict } from '../verdict.ts';

const ROUNDS = 3;
const NOTICE_MS = 2000;
const LIMIT_MS = 30_000;
const REMEDY = 'sudo timedatectl set-ntp true';

export interface Offset {
  readonly subject: string;
  /** By how much its clock is ahead of this desk's. */
  readonly ms: number;
}

/** How far a host's clock is ahead; of several rounds the quickest is the most exact. @throws Error when the agent is gone. */
export async function clockOffset(agent: Pick<AgentLink, 'ask'>): Promise<number> {
  let best = { roundTrip: Number.POSITIVE_INFINITY, offset: 0 };
  for (let i = 0; i < ROUNDS; i += 1) {
    const before = Date.now();
    const { now = 0 } = await agent.ask({ ask: 'clock' });
    const roundTrip = Date.now() - before;
    if (roundTrip < best.roundTrip) best = { roundTrip, offset: now - (before + roundTrip / 2) };
  }
  return best.offset;
}

const seconds = (ms: number) =>
  `${ms <= -5 ? '-' : '+'}${(Math.abs(ms) / 1000).toFixed(Math.abs(ms) < 10_000 ? 2 : 0)} s`;

/** Judges all clocks by the middle one, so that a wrong clock of the desk is not blamed on the hosts. Pure. */
export function clockVerdicts(desk: string, offsets: readonly Offset[]): Verdict[] {
  const all = [{ subject: desk, ms: 0 }, ...offsets];
  const sorted = all.map(({ ms }) => ms).sort((a, b) => a - b);
  const middle = sorted[(sorted.length - 1) >> 1]!;
  return all.flatMap(({ subject, ms }) => {
    const off = ms - middle;
    const detail = `${seconds(off)} against the middle of all`;
    if (Math.abs(off) > LIMIT_MS) return failed(subject, 'clock', detail, REMEDY);
    if (Math.abs(off) > NOTICE_MS) return noted(subject, 'clock', detail, REMEDY);
    return subject === desk ? [] : passed(subject, 'clock', detail);
  });
}
