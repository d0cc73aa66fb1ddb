/** Who this stack is across restarts, read back from the file discovery itself wrote. */
import * as v from 'valibot';
import { randomHex } from '../process/random.ts';
import { EpochSchema, InstanceSchema, parseJson, StackIdSchema } from '../record/record.ts';
import { MAX_DISCOVERY_BYTES } from '../state/discovery-file.ts';

export interface InstanceIdentity {
  readonly instance: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly boot: number;
}

/** Only what identity needs, so that a file whose peers are damaged still tells who we are. */
const KeptSchema = v.object({
  self: v.object({ stack_id: StackIdSchema, instance: InstanceSchema, since: EpochSchema, boot: EpochSchema }),
});

/** The identity that follows from the last file; a new one when there is none, it is damaged, or the stack was renamed. */
export function nextIdentity(lastFile: string | undefined, stackId: string, wallMs: number): InstanceIdentity {
  const parsed = lastFile === undefined ? undefined : parseJson(KeptSchema, lastFile, MAX_DISCOVERY_BYTES);
  if (parsed?.ok && parsed.value.self.stack_id === stackId) {
    const { instance, since, boot } = parsed.value.self;
    // A clock that went back must not make the others think that this process is older than its predecessor.
    return { instance, since: Math.min(since, wallMs), boot: Math.max(wallMs, boot + 1) };
  }
  return { instance: randomHex(8), since: wallMs, boot: wallMs };
}
