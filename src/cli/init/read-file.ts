/** One compose file -> what init needs of it. */
import { readFile, stat } from 'node:fs/promises';
import * as v from 'valibot';
import { parseAllDocuments } from 'yaml';
import { describeIssues } from '../../record/record.ts';
import { interpolateAll, type Values } from './interpolate.ts';
import { type Attachment, EMPTY, type IpamEntry, mergeParts, type Network, type Part, type Service } from './model.ts';
import { InitProblem } from './problem.ts';

const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Documents that expand to more than this many aliases are refused ("billion laughs"). */
const MAX_ALIASES = 1000;

const Text = v.string();
const Texts = v.union([
  v.pipe(
    Text,
    v.transform((text) => [text]),
  ),
  v.array(Text),
]);
const Flag = v.union([
  v.boolean(),
  v.pipe(
    Text,
    v.transform((text) => /^(true|yes|on|y|1)$/i.test(text)),
  ),
]);
const maybe = <S extends v.GenericSchema>(schema: S) => v.nullish(schema);
const Scalar = v.pipe(v.union([v.string(), v.number(), v.boolean()]), v.transform(String));

const AttachmentSchema = maybe(
  v.object({ gw_priority: maybe(v.union([v.number(), v.pipe(Text, v.transform(Number))])), ipv4_address: maybe(Text) }),
);
const ServiceSchema = maybe(
  v.object({
    networks: maybe(v.union([v.array(Text), v.record(Text, AttachmentSchema)])),
    network_mode: maybe(Text),
    dns: maybe(Texts),
    extends: maybe(v.union([Text, v.object({ file: maybe(Text), service: Text })])),
  }),
);
const NetworkSchema = maybe(
  v.object({
    name: maybe(Text),
    external: maybe(v.union([Flag, v.object({ name: maybe(Text) })])),
    internal: maybe(Flag),
    driver: maybe(Text),
    driver_opts: maybe(v.record(Text, maybe(Scalar))),
    enable_ipv4: maybe(Flag),
    ipam: maybe(
      v.object({
        config: maybe(
          v.array(
            v.object({
              subnet: maybe(Text),
              gateway: maybe(Text),
              ip_range: maybe(Text),
              aux_addresses: maybe(v.record(Text, Text)),
            }),
          ),
        ),
      }),
    ),
  }),
);
const IncludeSchema = v.union([
  v.pipe(
    Text,
    v.transform((path) => ({ path: [path], project_directory: undefined })),
  ),
  v.object({ path: Texts, project_directory: maybe(Text) }),
]);
const FileSchema = maybe(
  v.object({
    name: maybe(Text),
    services: maybe(v.record(Text, ServiceSchema)),
    networks: maybe(v.record(Text, NetworkSchema)),
    volumes: maybe(v.record(Text, v.unknown())),
    include: maybe(v.array(IncludeSchema)),
  }),
);
type RawService = v.InferOutput<typeof ServiceSchema>;
type RawNetwork = v.InferOutput<typeof NetworkSchema>;

export interface Extends {
  /** Undefined: the same file. */
  readonly file?: string;
  readonly service: string;
}
export interface Include {
  readonly paths: readonly string[];
  readonly folder?: string;
}
export interface ComposeFile {
  readonly part: Part;
  readonly extended: ReadonlyMap<string, Extends>;
  readonly includes: readonly Include[];
}

function toAttachment(raw: v.InferOutput<typeof AttachmentSchema>): Attachment {
  return { gwPriority: raw?.gw_priority ?? 0, ...(raw?.ipv4_address && { ipv4: raw.ipv4_address }) };
}

function toService(raw: RawService): Service {
  const names = raw?.networks ?? [];
  const entries: [string, Attachment][] = Array.isArray(names)
    ? names.map((name) => [name, { gwPriority: 0 }])
    : Object.entries(names).map(([name, value]) => [name, toAttachment(value)]);
  return {
    networks: new Map(entries),
    ...(raw?.network_mode && { networkMode: raw.network_mode }),
    dns: raw?.dns ?? [],
  };
}

function toNetwork(raw: RawNetwork): Network {
  const external = raw?.external;
  const named = typeof external === 'object' && external !== null;
  const name = (named ? external.name : undefined) ?? raw?.name ?? undefined;
  const mtu = raw?.driver_opts?.['com.docker.network.driver.mtu'];
  return {
    ...(name && { name }),
    ...(external !== undefined && external !== null && { external: named || external === true }),
    ...(raw?.internal != null && { internal: raw.internal }),
    ...(raw?.driver && { driver: raw.driver }),
    ...(mtu && { mtu }),
    ...(raw?.enable_ipv4 != null && { ipv4: raw.enable_ipv4 }),
    ipam: (raw?.ipam?.config ?? []).map(toIpam),
  };
}

function toIpam(raw: NonNullable<NonNullable<NonNullable<RawNetwork>['ipam']>['config']>[number]): IpamEntry {
  return {
    ...(raw.subnet && { subnet: raw.subnet }),
    ...(raw.gateway && { gateway: raw.gateway }),
    ...(raw.ip_range && { ipRange: raw.ip_range }),
    aux: raw.aux_addresses ?? {},
  };
}

function mapValues<A, B>(record: Record<string, A> | null | undefined, change: (value: A) => B): Map<string, B> {
  return new Map(Object.entries(record ?? {}).map(([key, value]) => [key, change(value)]));
}

/** Documents of a YAML text as plain values, merge keys and anchors resolved. @throws InitProblem */
export function yamlValues(name: string, text: string): unknown[] {
  const documents = parseAllDocuments(text, { merge: true, logLevel: 'error', uniqueKeys: true });
  return [...documents].map((document) => {
    const error = document.errors[0];
    if (error) throw new InitProblem(`${name} is not YAML: ${error.message.trim()}`);
    try {
      return document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (cause) {
      throw new InitProblem(`${name} is not YAML: ${(cause as Error).message}`);
    }
  });
}

/** @throws InitProblem when it is not a compose file, with the place. */
export function parseCompose(name: string, text: string, values: Values): ComposeFile {
  const files = yamlValues(name, text).map((value) => {
    const parsed = v.safeParse(FileSchema, interpolateAll(value, values));
    if (!parsed.success) throw new InitProblem(`${name}: ${describeIssues(parsed.issues)}`);
    return parsed.output;
  });
  const extended = new Map<string, Extends>();
  const includes: Include[] = [];
  let part = EMPTY;
  for (const file of files) {
    for (const [service, raw] of Object.entries(file?.services ?? {})) {
      const base = typeof raw?.extends === 'string' ? { service: raw.extends } : raw?.extends;
      if (base) extended.set(service, { service: base.service, ...(base.file && { file: base.file }) });
    }
    for (const { path, project_directory } of file?.include ?? [])
      includes.push({ paths: path, ...(project_directory && { folder: project_directory }) });
    part = mergeParts(part, {
      ...(file?.name && { name: file.name }),
      services: mapValues(file?.services, toService),
      networks: mapValues(file?.networks, toNetwork),
      volumes: new Set(Object.keys(file?.volumes ?? {})),
    });
  }
  return { part, extended, includes };
}

/** Text of a file; undefined when there is none. @throws InitProblem when it cannot be read. */
export async function textOf(path: string, shown: string): Promise<string | undefined> {
  try {
    if ((await stat(path)).size > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`);
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw new InitProblem(`${shown} cannot be read: ${(cause as Error).message}`);
  }
}
