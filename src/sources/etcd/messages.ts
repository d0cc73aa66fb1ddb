/** Answers of etcd's JSON gateway (protobuf as JSON: 64-bit numbers are strings, bytes are base64, zero values are absent). */
import * as v from 'valibot';

const Int64 = v.pipe(v.string(), v.regex(/^-?\d{1,20}$/, 'is not a 64-bit number'));
const Count = v.pipe(Int64, v.transform(Number), v.safeInteger());
const Bytes = v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]*={0,2}$/, 'is not base64'));

const HeaderSchema = v.object({
  cluster_id: v.optional(Int64, '0'),
  /** Of the whole store; each transaction that changes anything adds one. */
  revision: v.optional(Count, '0'),
});

const KeyValueSchema = v.object({
  key: Bytes,
  value: v.optional(Bytes, ''),
  mod_revision: v.optional(Int64, '0'),
  lease: v.optional(Int64, '0'),
});
export type KeyValue = v.InferOutput<typeof KeyValueSchema>;

const KeyValues = v.optional(v.array(KeyValueSchema), []);

export const AuthenticateSchema = v.object({ token: v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,8192}$/)) });

export const GrantSchema = v.object({ header: HeaderSchema, TTL: Count });

/** TTL is 0, so absent, for a lease that is gone. */
export const KeepAliveSchema = v.object({
  result: v.object({ header: HeaderSchema, TTL: v.optional(Count, '0') }),
});

export const RangeSchema = v.object({
  header: HeaderSchema,
  kvs: KeyValues,
  more: v.optional(v.boolean(), false),
  /** All keys in the range, also those that a limit or a filter left out. */
  count: v.optional(Count, '0'),
});

export const TxnSchema = v.object({
  header: HeaderSchema,
  succeeded: v.optional(v.boolean(), false),
  responses: v.optional(v.array(v.object({ response_range: v.optional(v.object({ kvs: KeyValues })) })), []),
});

/** 3.4 says `error`, later versions `message`; 3.4 has both. */
export const RefusalSchema = v.object({
  code: v.optional(v.number(), 2),
  message: v.optional(v.string()),
  error: v.optional(v.string()),
});
export type Refusal = v.InferOutput<typeof RefusalSchema>;

const EventSchema = v.object({ type: v.optional(v.picklist(['PUT', 'DELETE']), 'PUT'), kv: KeyValueSchema });
export type WatchEvent = v.InferOutput<typeof EventSchema>;

export const WatchSchema = v.union([
  v.object({
    result: v.object({
      header: HeaderSchema,
      created: v.optional(v.boolean(), false),
      canceled: v.optional(v.boolean(), false),
      cancel_reason: v.optional(v.string(), ''),
      compact_revision: v.optional(Count, '0'),
      events: v.optional(v.array(EventSchema), []),
    }),
  }),
  v.object({
    error: v.object({
      grpc_code: v.optional(v.number()),
      code: v.optional(v.number()),
      message: v.optional(v.string(), ''),
    }),
  }),
]);

/** Any answer of which nothing is needed. */
export const AnySchema = v.object({});
