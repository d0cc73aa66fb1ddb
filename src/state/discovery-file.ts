/** `discovery.json`, version 1: what discovery knows, read by the router and by any service that looks. DESIGN section 3. */
import * as v from 'valibot';
import {
  DataPlaneEntries,
  EpochSchema,
  InstanceSchema,
  Ipv4Schema,
  MtuSchema,
  StackIdSchema,
  VniSchema,
} from '../record/record.ts';

/** 10,000 peers take about 5 MB; anything larger was not written by discovery. */
export const MAX_DISCOVERY_BYTES = 16 * 1024 * 1024;
export const MAX_PEERS = 16_384;

const TimeSchema = v.pipe(v.string(), v.isoTimestamp());
const EndpointSchema = v.pipe(v.string(), v.regex(/^[0-9.]{7,15}:\d{1,5}$/));

export const PEER_STATUSES = ['active', 'stale', 'rejected'] as const;
export type PeerStatus = (typeof PEER_STATUSES)[number];

const PublishedEntries = {
  stack_id: StackIdSchema,
  host_ip: Ipv4Schema,
  vni: VniSchema,
  vxlan_endpoint: v.optional(EndpointSchema),
  last_seen: TimeSchema,
  status: v.picklist(PEER_STATUSES),
  reason: v.optional(v.pipe(v.string(), v.maxLength(500))),
  ...DataPlaneEntries,
  instance: InstanceSchema,
  since: EpochSchema,
  source: v.pipe(v.string(), v.maxLength(32)),
};

export const PeerSchema = v.object({
  ...PublishedEntries,
  /** host_ip is an address of this very host: the router cannot see which these are. */
  this_host: v.optional(v.literal(true)),
});
export const SelfSchema = v.object({
  ...PublishedEntries,
  boot: EpochSchema,
  /** Interface of the host that owns host_ip, and its MTU: the router cannot see either. */
  interface: v.optional(v.pipe(v.string(), v.maxLength(15))),
  underlay_mtu: v.optional(MtuSchema),
  /** The host hands bridged frames to iptables. */
  bridges_filter: v.optional(v.boolean()),
});
export const SourceStateSchema = v.object({
  state: v.picklist(['ok', 'failing']),
  since: TimeSchema,
  message: v.optional(v.pipe(v.string(), v.maxLength(500))),
});

const HeaderEntries = {
  version: v.literal(1, 'is not version 1'),
  last_update: TimeSchema,
  /** Seconds from the host's start to last_update: how old the file is, where the wall clock was put right or wrong meanwhile. */
  uptime: v.optional(v.pipe(v.number(), v.minValue(0))),
  self: SelfSchema,
  sources: v.optional(v.record(v.string(), SourceStateSchema)),
  /** Input that was dropped since the start, by source and kind: forged, replayed, not sealed ... */
  dropped: v.optional(v.record(v.string(), v.pipe(v.number(), v.integer(), v.minValue(0)))),
  /** When each kind was dropped last. */
  last_dropped: v.optional(v.record(v.string(), TimeSchema)),
};

export const DiscoveryFileSchema = v.object({
  ...HeaderEntries,
  peers: v.pipe(v.array(PeerSchema), v.maxLength(MAX_PEERS)),
});
/** As the router reads it: each peer is judged by itself, so that a bad one never hides the good ones. */
export const DiscoveryEnvelopeSchema = v.object({
  ...HeaderEntries,
  peers: v.pipe(v.array(v.unknown()), v.maxLength(MAX_PEERS)),
});
export type DiscoveryEnvelope = v.InferOutput<typeof DiscoveryEnvelopeSchema>;

export type DiscoveryFile = v.InferOutput<typeof DiscoveryFileSchema>;
export type SelfEntry = v.InferOutput<typeof SelfSchema>;
export type PeerEntry = v.InferOutput<typeof PeerSchema>;
export type SourceState = v.InferOutput<typeof SourceStateSchema>;
