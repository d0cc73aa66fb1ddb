/** What can go wrong with etcd, each in words that say what mends it. Pure. */
import type { Refusal } from './messages.ts';

export type TroubleKind =
  /** No answer: the next endpoint may have one. */
  | 'unreachable'
  | 'tls'
  /** Answers, but not as etcd does. */
  | 'protocol'
  /** An answer larger than allowed: ask for less. */
  | 'too large'
  /** The token is no longer accepted: log in again. */
  | 'token'
  | 'login'
  | 'permission'
  | 'no leader'
  /** It stops, starts, learns or has too much to do: another member, or the same a moment later, may answer. */
  | 'busy'
  | 'no lease'
  | 'lease exists'
  | 'auth off'
  /** The database takes no more writes. */
  | 'full'
  /** The watch's revision is no longer there, or it was cancelled or fell silent: a fresh snapshot mends it. */
  | 'watch'
  | 'refused';

export class EtcdTrouble extends Error {
  readonly kind: TroubleKind;
  constructor(kind: TroubleKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

/** Never more than this of a server's own words in a message of ours. */
const MAX_QUOTE = 160;
const quote = (text: string) => text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, MAX_QUOTE);

/** gRPC status codes (grpc/doc/statuscodes.md). */
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;
const UNIMPLEMENTED = 12;

/** What etcd says of itself alone, for as long as it lasts: `server stopped`, `too many requests`, `not supported for learner`. */
const PASSING: ReadonlySet<number> = new Set([DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE]);
/** The same of the gateway while it has no connection to its own member, and of a proxy in front (RFC 9110 section 15.6). */
const PASSING_HTTP: ReadonlySet<number> = new Set([502, 503, 504]);

const GATEWAY_CUT_OFF =
  "etcd's JSON gateway cannot reach its own member; with --client-cert-auth the member's certificate must be fit for a client, too (extendedKeyUsage clientAuth)";

/** In this order: the first that matches decides. The texts are etcd's, `api/v3rpc/rpctypes/error.go`, unchanged from 3.4 to 3.6. */
const REFUSALS: readonly [RegExp, TroubleKind, string | undefined][] = [
  [/authentication is not enabled/, 'auth off', undefined],
  [/authentication failed/, 'login', 'wrong ETCD_USERNAME or ETCD_PASSWORD: etcd does not accept them'],
  [/user name is empty/, 'login', 'etcd wants a user: set ETCD_USERNAME and ETCD_PASSWORD_FILE (or ETCD_PASSWORD)'],
  [/invalid auth token|revision of auth store is old/, 'token', undefined],
  [/permission denied/, 'permission', 'etcd refuses: permission denied'],
  [/lease already exists/, 'lease exists', undefined],
  [/requested lease not found/, 'no lease', undefined],
  [/revision has been compacted/, 'watch', 'the revision that was to be read was compacted away'],
  [
    /database space exceeded/,
    'full',
    "etcd's database is full: compact and defragment it, then `etcdctl alarm disarm`",
  ],
  [/connection (closed|error)|transport:|SubConns/, 'unreachable', GATEWAY_CUT_OFF],
  [/no leader|leader changed|request timed out/, 'no leader', 'etcd has no leader: start enough of its members again'],
];

/** An answer with an error status. */
export function refusal(httpStatus: number, body: Refusal | undefined): EtcdTrouble {
  const text = body?.message ?? body?.error ?? '';
  for (const [pattern, kind, message] of REFUSALS) {
    if (pattern.test(text)) return new EtcdTrouble(kind, message ?? quote(text));
  }
  if (body?.code === RESOURCE_EXHAUSTED && /larger than max/.test(text))
    return new EtcdTrouble('too large', quote(text));
  if (PASSING.has(body?.code ?? 0) || PASSING_HTTP.has(httpStatus))
    return new EtcdTrouble('busy', `this member cannot answer now: ${quote(text) || `HTTP status ${httpStatus}`}`);
  if (httpStatus === 404 || body?.code === UNIMPLEMENTED) {
    const mend = 'etcd 3.4 or later is needed, with --enable-grpc-gateway=true';
    return new EtcdTrouble('protocol', `answers without etcd's JSON gateway (/v3); ${mend}`);
  }
  return new EtcdTrouble('refused', `etcd refuses: ${quote(text) || `HTTP status ${httpStatus}`}`);
}

const TLS_CODES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "etcd's certificate has expired; renew it",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "etcd's certificate is for another name; use a name or address in ETCD_ENDPOINTS that it holds",
};
const WRONG_CA =
  "etcd's certificate is not signed by a known CA: set ETCD_CA_FILE to the certificate of the CA that signed it";
const NO_CLIENT_CERTIFICATE =
  'etcd does not accept the client certificate: set ETCD_CERT_FILE and ETCD_KEY_FILE to one it trusts';
const NOT_TLS = 'the endpoint does not speak TLS: write http:// in ETCD_ENDPOINTS, or switch TLS on in etcd';

const NETWORK_CODES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there; is etcd running, and the port right?',
  ENOTFOUND: 'its name is not known to the DNS',
  EAI_AGAIN: 'its name cannot be looked up: the DNS does not answer',
  EHOSTUNREACH: 'no route to it',
  ENETUNREACH: 'no route to it',
  ETIMEDOUT: 'no answer in time; is it reachable through the firewall, and not overloaded?',
};

function tlsMessage(code: string, text: string): string | undefined {
  if (TLS_CODES[code]) return TLS_CODES[code];
  if (/VERIFY|SELF_SIGNED|UNABLE_TO_GET|ISSUER|CERT_(UNTRUSTED|CHAIN|SIGNATURE)/.test(code)) return WRONG_CA;
  if (/wrong version number|packet length too long|unexpected message/i.test(text)) return NOT_TLS;
  if (/alert.*(certificate|unknown ca)|certificate required/i.test(text)) return NO_CLIENT_CERTIFICATE;
  return /^ERR_(SSL|TLS|OSSL)/.test(code) || code === 'EPROTO' ? `TLS fails: ${quote(text)}` : undefined;
}

/** An error of the socket below, to an endpoint with the scheme that its URL says. */
export function connectionTrouble(cause: Error & { code?: string; errors?: Error[] }, url: string): EtcdTrouble {
  if (cause instanceof EtcdTrouble) return cause;
  // An AggregateError when a name has several addresses: the first stands for all.
  const first = (cause.errors?.[0] ?? cause) as Error & { code?: string };
  const code = cause.code ?? first.code ?? '';
  const tls = tlsMessage(code, first.message);
  if (tls !== undefined) return new EtcdTrouble('tls', tls, cause);
  if (code === 'ECONNRESET') {
    const [seems, write] = url.startsWith('https:') ? ['off', 'http'] : ['on', 'https'];
    const message = `it closed the connection; if etcd has TLS switched ${seems}, write ${write}:// in ETCD_ENDPOINTS`;
    return new EtcdTrouble('unreachable', message, cause);
  }
  return new EtcdTrouble('unreachable', NETWORK_CODES[code] ?? quote(first.message), cause);
}
