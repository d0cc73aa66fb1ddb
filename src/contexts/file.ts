/** `docker-contexts.json`: schema, problems in words, edits that keep what they do not understand. Pure. */
import * as v from 'valibot';
import { StackIdSchema } from '../record/record.ts';
import { isHost, LOCAL } from './address.ts';

/** A thousand contexts take 300 KB. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;
export const SCHEMA_REFERENCE = './docs/docker-contexts.schema.json';

/** What Docker accepts as a context's name. `default` is Docker's own; the others have a meaning in JavaScript objects. */
export const NAME_PATTERN = '^(?!(?:default|constructor|prototype)$)[a-zA-Z0-9][a-zA-Z0-9_.+-]{1,63}$';
const NAME = new RegExp(NAME_PATTERN);
const NO_NAME =
  'is no name for a context: 2 to 64 letters, digits, "_", ".", "+" or "-", and not Docker\'s own "default"';
const NO_CONTEXTS = 'must be an object that holds the contexts by name';

const text = (maximum: number) =>
  v.pipe(v.string('must be text'), v.maxLength(maximum, `must be at most ${maximum} characters long`));

const ContextSchema = v.looseObject(
  {
    description: v.optional(text(200), ''),
    host: v.pipe(
      text(400),
      v.check(isHost, `must be "${LOCAL}" or ssh://[user@]host[:port] (an IPv6 address in brackets)`),
    ),
    enabled: v.optional(v.boolean('must be true or false'), true),
    compose_file: v.pipe(text(4096), v.nonEmpty('must name a compose file')),
    stack_name: v.pipe(v.string('must be text'), ...StackIdSchema.pipe.slice(1)),
  },
  'must be an object',
);

const FileSchema = v.looseObject(
  {
    $schema: v.optional(text(400)),
    contexts: v.pipe(
      // A record takes an array for an object.
      v.custom<object>((input) => typeof input === 'object' && !Array.isArray(input), NO_CONTEXTS),
      v.record(v.pipe(v.string(), v.regex(NAME, NO_NAME)), ContextSchema, NO_CONTEXTS),
    ),
  },
  'must be an object',
);

export type ContextEntry = v.InferOutput<typeof ContextSchema>;
export type Named = ContextEntry & { readonly name: string };

/** The file as it was read, unknown keys included. Only `parseFile` makes one. */
export type Document = v.InferOutput<typeof FileSchema>;

export type ParsedFile =
  | { readonly ok: true; readonly document: Document; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** `contexts.remote1.host`; a key that is not a plain word stands in brackets. */
export function formatPath(keys: readonly string[]): string {
  return keys
    .map((key, i) => (/^[A-Za-z0-9_$+-]+$/.test(key) ? `${i > 0 ? '.' : ''}${key}` : `[${JSON.stringify(key)}]`))
    .join('');
}

function problemOf(issue: v.BaseIssue<unknown>): string {
  const keys = (issue.path ?? []).map(({ key }) => String(key));
  const path = keys.length > 0 ? formatPath(keys) : 'the file';
  if (issue.input === undefined) return `${path}: is missing`;
  // For a bad key the value at its path says nothing.
  if (issue.path?.at(-1)?.origin === 'key') return `${path}: ${issue.message}`;
  return `${path}: ${issue.message}, but is ${JSON.stringify(issue.input).slice(0, 60)}`;
}

const plainWord = (key: string) => key.toLowerCase().replaceAll(/[^a-z]/g, '');

function unknownKeys(value: object, known: readonly string[], path: readonly string[]): string[] {
  return Object.keys(value)
    .filter((key) => !known.includes(key))
    .map((key) => {
      const meant = known.find((candidate) => plainWord(candidate) === plainWord(key));
      return `${formatPath([...path, key])}: unknown key, kept and not used${meant ? `; did you mean ${meant}?` : ''}`;
    });
}

function warningsOf({ contexts, ...rest }: Document): string[] {
  const inContexts = Object.entries(contexts).flatMap(([name, entry]) =>
    unknownKeys(entry, Object.keys(ContextSchema.entries), ['contexts', name]),
  );
  return [...unknownKeys(rest, Object.keys(FileSchema.entries), []), ...inContexts];
}

/** Names that valibot leaves out unseen, since they reach an object's prototype. */
function specialNames(json: unknown): string[] {
  const contexts = (json as { contexts?: object } | null)?.contexts ?? {};
  return ['__proto__', 'constructor', 'prototype']
    .filter((name) => Object.hasOwn(contexts, name))
    .map((name) => `${formatPath(['contexts', name])}: ${NO_NAME}`);
}

/** Text of the file -> document, or every problem with the path to the wrong value. */
export function parseFile(text: string): ParsedFile {
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    return { ok: false, problems: [`is not JSON: ${(cause as Error).message}`] };
  }
  const result = v.safeParse(FileSchema, json);
  const special = specialNames(json);
  if (special.length > 0) return { ok: false, problems: special };
  if (!result.success) return { ok: false, problems: result.issues.map(problemOf) };
  // The document is what was read, not what the schema made of it: no default is written into the user's file.
  const document = json as Document;
  return { ok: true, document, warnings: warningsOf(document) };
}

export const emptyDocument = (): Document => ({ $schema: SCHEMA_REFERENCE, contexts: {} });

export const formatFile = (document: Document): string => `${JSON.stringify(document, null, 2)}\n`;

/** Every context with its defaults, in the order of the file. */
export function contextsOf(document: Document): Named[] {
  return Object.entries(document.contexts).map(([name, entry]) => ({ ...v.parse(ContextSchema, entry), name }));
}

/** The document with `entry` under `name`: what is there already keeps its place and its unknown keys. */
export function withContext(document: Document, name: string, entry: Partial<ContextEntry>): Document {
  const merged = { ...document.contexts[name], ...entry } as ContextEntry;
  return { ...document, contexts: { ...document.contexts, [name]: merged } };
}

export function withoutContext(document: Document, name: string): Document {
  const { [name]: _removed, ...contexts } = document.contexts;
  return { ...document, contexts };
}

/** Problems between contexts that are to run together. */
export function conflicts(contexts: readonly Named[]): string[] {
  const first = new Map<string, string>();
  return contexts.flatMap(({ name, stack_name }) => {
    const other = first.get(stack_name);
    if (other === undefined) {
      first.set(stack_name, name);
      return [];
    }
    const path = formatPath(['contexts', name, 'stack_name']);
    return [`${path}: "${stack_name}" is the stack of ${other} too; give each stack its own name, or disable one`];
  });
}
