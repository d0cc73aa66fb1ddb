/** What the conformance suite must be given for a transport. */
import type { StackRecord } from '../../src/record/record.ts';
import type { Source } from '../../src/sources/source.ts';
import type { CaseName } from './cases.ts';

/** A stack that runs as a process of its own. `spawnStack` makes one. */
export interface Doomed {
  /** SIGKILL, without a goodbye; also of what the source itself has started. */
  kill(): Promise<void>;
  /** Stops the source and waits for the process to end by itself. */
  stop(): Promise<Ended>;
}

export interface Ended {
  /** How long `Source.stop` took, in milliseconds. */
  readonly stopMs: number;
  /** Exit status; null when it did not end by itself within 5 s, so that something was still open. */
  readonly code: number | null;
}

/** The transport goes away as a whole and comes back with what it holds. */
export interface Outage {
  begin(): Promise<void>;
  end(): Promise<void>;
}

export interface Harness {
  /** Starts the transport (network, server ...) on this machine only. A missing program is an error, never a skip. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** `host_ip` of every record: an address of this network namespace. */
  readonly hostIp: string;
  /** A new source for one stack, neither started nor told its record (the suite publishes it). */
  create(record: StackRecord): Source;
  /** The same in a process of its own, started and published. Resolves when it runs. */
  spawn(record: StackRecord): Promise<Doomed>;
  /** Puts into the transport what is not a record of ours, several kinds of it, where every stack reads it. */
  injectGarbage(): Promise<void>;
  readonly within: {
    /** Milliseconds until a stack or a change is seen by the others, at most. Generous: the machine is shared. */
    readonly seen: number;
    /** ... until a stack that stopped cleanly is gone. Shorter than `dead`, or the goodbye could be missing. */
    readonly left: number;
    /** ... until a killed stack is gone: its lifetime, its lease, its failure detection, plus what a loaded machine takes. */
    readonly dead: number;
  };
  /** How a second stack with an id already in use is met: it is seen beside the first, or its own source reports who holds the id. */
  readonly sameId: 'both visible' | 'second refused';
  /** Absent only together with a `skip` of the outage case. */
  readonly outage?: Outage;
  /** Reason for each case that cannot hold for this transport. */
  readonly skip?: Partial<Record<CaseName, string>>;
}
