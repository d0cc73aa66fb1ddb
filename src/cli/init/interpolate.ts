/** Variables in a compose file, as far as they can stand in what init reads. Pure. */

export type Values = Readonly<Record<string, string | undefined>>;

/** ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}, ${NAME:+other}, $NAME; $$ is a dollar. A default has no braces in it. */
const VARIABLE = /\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])([^{}]*))?\})/g;
/** Defaults may hold variables themselves: the innermost go first, this many levels. */
const MAX_DEPTH = 5;

function substitute(text: string, values: Values): string {
  return text.replaceAll(VARIABLE, (whole, plain, name, operator, word = '') => {
    if (whole === '$$') return whole;
    const value = values[plain ?? name];
    const usable = operator?.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
    if (operator?.endsWith('+')) return usable ? word : '';
    if (operator?.endsWith('-')) return usable ? value! : word;
    return value ?? '';
  });
}

/** The text with every variable replaced; unset ones are empty, as for Compose. */
export function interpolate(text: string, values: Values): string {
  let result = text;
  for (let depth = 0; depth < MAX_DEPTH && /\$\{|\$[A-Za-z_]/.test(result); depth += 1)
    result = substitute(result, values);
  return result.replaceAll('$$', '$');
}

/** Every string in a parsed document, keys excepted, as Compose has it. */
export function interpolateAll(value: unknown, values: Values): unknown {
  if (typeof value === 'string') return value.includes('$') ? interpolate(value, values) : value;
  if (Array.isArray(value)) return value.map((item) => interpolateAll(item, values));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, interpolateAll(item, values)]));
}
