/** `router.json`, version 1: what is true of this stack's data plane, read and announced by discovery. DESIGN section 1. */
import * as v from 'valibot';
import { DataPlaneEntries, MtuSchema, StackIdSchema } from '../record/record.ts';

export const MAX_ROUTER_BYTES = 64 * 1024;

export const ProblemSchema = v.object({
  /** Stable name of the problem, such as `no-handle`. */
  code: v.pipe(v.string(), v.maxLength(64)),
  message: v.pipe(v.string(), v.maxLength(1000)),
});

export const RouterFileSchema = v.object({
  version: v.literal(1, 'is not version 1'),
  last_update: v.pipe(v.string(), v.isoTimestamp()),
  /**
   * `stopping` when the router was stopped cleanly, and with it the stack goes. Absent in files of routers that do not say so.
   */
  state: v.optional(v.picklist(['running', 'stopping'])),
  /** Absent until discovery has told the router whose it is. */
  stack_id: v.optional(StackIdSchema),
  ...DataPlaneEntries,
  underlay: v.optional(v.picklist(['host', 'published'])),
  mtu: v.optional(MtuSchema),
  encryption: v.optional(
    v.object({ mode: v.picklist(['wireguard', 'required']), engine: v.picklist(['kernel', 'wireguard-go']) }),
  ),
  problems: v.optional(v.pipe(v.array(ProblemSchema), v.maxLength(32))),
});

export type RouterFile = v.InferOutput<typeof RouterFileSchema>;
export type Problem = v.InferOutput<typeof ProblemSchema>;
