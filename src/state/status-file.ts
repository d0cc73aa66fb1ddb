/** `status.json`, version 1: what the router measures of the others, for `docker-router status` and for services that look. */
import * as v from 'valibot';
import { StackIdSchema } from '../record/record.ts';
import { MAX_PEERS } from './discovery-file.ts';

/** 10,000 peers take about 2 MB. */
export const MAX_STATUS_BYTES = 8 * 1024 * 1024;

const Count = v.pipe(v.number(), v.minValue(0));

export const PeerStatusSchema = v.object({
  stack_id: StackIdSchema,
  /** Median round trip between the two routers through the tunnel, in milliseconds; absent while nothing was answered. */
  round_trip_ms: v.optional(Count),
  /** Share of the last probes without an answer, 0 to 1. */
  loss: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
  probes: v.optional(Count),
  /** Probes without an answer since the last one that had it. */
  silent: v.optional(Count),
  last_answer: v.optional(v.pipe(v.string(), v.isoTimestamp())),
  /** How far that router's clock is ahead of this one's, in milliseconds. */
  clock_offset_ms: v.optional(v.number()),
  /** What came from that stack since its entries are in the kernel. */
  received_bytes: v.optional(Count),
  received_packets: v.optional(Count),
});

export const StatusFileSchema = v.object({
  version: v.literal(1, 'is not version 1'),
  last_update: v.pipe(v.string(), v.isoTimestamp()),
  peers: v.pipe(v.array(PeerStatusSchema), v.maxLength(MAX_PEERS)),
});

export type PeerStatus = v.InferOutput<typeof PeerStatusSchema>;
export type StatusFile = v.InferOutput<typeof StatusFileSchema>;
