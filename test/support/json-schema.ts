/** As much of a JSON schema validator (draft 2020-12) as the project's own schemas need. @throws for a keyword it does not know */

type Schema = { readonly [keyword: string]: unknown };

const KNOWN = new Set(
  '$schema $defs title description default examples $ref type required properties propertyNames additionalProperties pattern minLength maxLength'.split(
    ' ',
  ),
);

function isOfType(value: unknown, type: string): boolean {
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

function textFits(schema: Schema, text: string): boolean {
  const { pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY } = schema as Record<string, never>;
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(text)) return false;
  return text.length >= minLength && text.length <= maxLength;
}

export function validates(schema: Schema, value: unknown, root: Schema = schema): boolean {
  for (const keyword of Object.keys(schema)) if (!KNOWN.has(keyword)) throw new Error(`unknown keyword ${keyword}`);
  if (typeof schema.$ref === 'string') {
    const target = schema.$ref.split('/').slice(1);
    return validates(
      target.reduce<Schema>((at, key) => at[key] as Schema, root),
      value,
      root,
    );
  }
  if (typeof schema.type === 'string' && !isOfType(value, schema.type)) return false;
  if (typeof value === 'string') return textFits(schema, value);
  if (!isOfType(value, 'object')) return true;
  const properties = (schema.properties ?? {}) as Record<string, Schema>;
  const required = (schema.required ?? []) as string[];
  if (required.some((key) => !Object.hasOwn(value as object, key))) return false;
  return Object.entries(value as object).every(([key, part]) => {
    if (schema.propertyNames && !validates(schema.propertyNames as Schema, key, root)) return false;
    const own = Object.hasOwn(properties, key) ? properties[key] : (schema.additionalProperties as Schema | undefined);
    return !own || validates(own, part, root);
  });
}
