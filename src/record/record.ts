/** What a stack says of itself to the others. Every source carries this one record, whatever its transport. */
import * as v from 'valibot';
import { parseIpv4, parsePrefix } from '../net/ipv4.ts';
import { isUnicastMac } from '../net/mac.ts';

/** Largest encoded record that a reader accepts, in bytes; a real one takes about 500. */
export const MAX_RECORD_BYTES = 4096;
export const MAX_SUBNETS = 16;
/** RFC 7348 section 5: the VNI has 24 bits. 0 is reserved by several vendors and refused here. */
export const MAX_VNI = 0xffffff;

/** A stack id is also a DNS label (RFC 1035 section 2.3.1) and an etcd key part, so it may hold nothing else. */
export const StackIdSchema = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1-63 lower-case letters, digits or hyphens'),
);
export const Ipv4Schema = v.pipe(
  v.string(),
  v.check((text) => parseIpv4(text) !== undefined, 'must be an IPv4 address'),
);
export const PrefixSchema = v.pipe(
  v.string(),
  v.check((text) => parsePrefix(text) !== undefined, 'must be an IPv4 subnet such as 172.30.0.0/24'),
);
export const MacSchema = v.pipe(v.string(), v.check(isUnicastMac, 'must be a unicast MAC address in lower case'));
export const VniSchema = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_VNI));
export const PortSchema = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535));
export const MtuSchema = v.pipe(v.number(), v.integer(), v.minValue(576), v.maxValue(65535));
/** Milliseconds since 1970, up to the year 2200. */
export const EpochSchema = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(7_258_118_400_000));
export const InstanceSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/));
export const SubnetsSchema = v.pipe(v.array(PrefixSchema), v.maxLength(MAX_SUBNETS));
export const PublicKeysSchema = v.pipe(
  v.record(v.pipe(v.string(), v.regex(/^[a-z0-9_]{1,32}$/)), v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/=_-]{1,128}$/))),
  v.check((keys) => Object.keys(keys).length <= 8, 'has more than 8 keys'),
);

/** 32 bytes in base64, as `wg pubkey` prints them: the last character before `=` carries four bits. */
export const WgPublicKeySchema = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/, 'must be a WireGuard public key'),
);

/** What only the router knows: absent while a stack has discovery but no router yet. */
export const DataPlaneEntries = {
  subnets: SubnetsSchema,
  gateway_ip: v.optional(Ipv4Schema),
  vtep_mac: v.optional(MacSchema),
  vxlan_port: v.optional(PortSchema),
  public_keys: v.optional(PublicKeysSchema),
  /** Present while the stack encrypts its traffic: its key, and the UDP port on the host at which WireGuard listens. */
  wg_public_key: v.optional(WgPublicKeySchema),
  wg_port: v.optional(PortSchema),
  /** Which of the stack's two slots that is when it is not slot 0; and key and port of the other one. */
  wg_slot: v.optional(v.literal(1)),
  wg_other_public_key: v.optional(WgPublicKeySchema),
  wg_other_port: v.optional(PortSchema),
};

export const RecordSchema = v.object({
  stack_id: StackIdSchema,
  vni: VniSchema,
  host_ip: Ipv4Schema,
  ...DataPlaneEntries,
  /** Random, kept in the volume: tells one stack from another that claims the same id. */
  instance: InstanceSchema,
  /** When the instance first started: seniority decides between two claims to one id or one subnet. */
  since: EpochSchema,
  /** Start of this process, always greater than the last one's even when the clock went back. */
  boot: EpochSchema,
  /** Counts this process's publications. (boot, seq) orders the records of an instance. */
  seq: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER)),
});

export type StackRecord = v.InferOutput<typeof RecordSchema>;
export type Identity = Pick<StackRecord, 'stack_id' | 'instance'>;

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

/** First problems of a failed validation, as `path: words`; never echoes more than 120 characters of hostile input. */
export function describeIssues(issues: readonly v.BaseIssue<unknown>[]): string {
  return issues
    .slice(0, 3)
    .map((issue) => `${v.getDotPath(issue) ?? 'value'}: ${issue.message}`.slice(0, 120))
    .join('; ');
}

export function parseWith<S extends v.GenericSchema>(schema: S, input: unknown): Parsed<v.InferOutput<S>> {
  const result = v.safeParse(schema, input);
  return result.success ? { ok: true, value: result.output } : { ok: false, error: describeIssues(result.issues) };
}

export function parseRecord(input: unknown): Parsed<StackRecord> {
  return parseWith(RecordSchema, input);
}

/** JSON text of at most `maxBytes` -> value of `schema`. */
export function parseJson<S extends v.GenericSchema>(
  schema: S,
  text: string,
  maxBytes: number,
): Parsed<v.InferOutput<S>> {
  if (Buffer.byteLength(text) > maxBytes) return { ok: false, error: `larger than ${maxBytes} bytes` };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    return { ok: false, error: `not JSON (${(cause as Error).message.slice(0, 80)})` };
  }
  return parseWith(schema, json);
}

/** Whether `a` was published after `b` by the same instance. */
export function isNewer(a: Pick<StackRecord, 'boot' | 'seq'>, b: Pick<StackRecord, 'boot' | 'seq'>): boolean {
  return a.boot !== b.boot ? a.boot > b.boot : a.seq > b.seq;
}

/** Whether two records say the same of the data plane; boot and seq do not count. */
export function samePlane(a: StackRecord, b: StackRecord): boolean {
  const plane = ({ boot: _boot, seq: _seq, public_keys: _keys, ...rest }: StackRecord) =>
    JSON.stringify(rest, Object.keys(RecordSchema.entries));
  // No keys and an empty list of them say the same; the flat form has no empty list.
  return plane(a) === plane(b) && JSON.stringify(a.public_keys ?? {}) === JSON.stringify(b.public_keys ?? {});
}
