/**
 * Inputs for parsers: good ones, damaged. A good one is damaged in its structure where it is JSON (a value replaced, removed or doubled)
 * and then in its bytes, so that most inputs get past the first check and few past the last. Every choice comes from fast-check, so a
 * case is repeated from its seed and shrunk to the least damage that still fails.
 */
import fc from 'fast-check';

/** One damage: what, where, and with what; all of them numbers that are taken modulo what there is. */
type Damage = readonly [kind: number, at: number, what: number];

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

/** Values that parsers stumble over. */
const VALUES: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 1.5, 4789, 65535, 65536, 16777216, 2 ** 53, 1e308, -1e308],
  ...[
    '',
    ' ',
    'a',
    'A',
    '0',
    '-',
    'x'.repeat(64),
    'x'.repeat(5000),
    'é\u0000\n',
    '\ud800',
    '__proto__',
    'constructor',
    'stack-b',
  ],
  ...[
    '0.0.0.0/0',
    '10.0.0.0/8',
    '10.1.2.0/33',
    '10.1.2.3/24',
    '172.30.0.0/16',
    '172.31.0.0/24',
    '::1',
    '127.0.0.1',
    '255.255.255.255',
  ],
  ...[
    'ff:ff:ff:ff:ff:ff',
    '02:00:00:00:00:01',
    '00:00:00:00:00:00',
    '10.0.0.5:4789',
    '2024-01-15T10:30:00Z',
    'NaN',
    '1e9',
    '-0',
    'zz',
  ],
  ...[
    '; flush ruleset',
    '\nlink delete vxlan0',
    '{ }',
    '$(id)',
    '../../etc/passwd',
    'default',
    'PERMANENT',
    'vxlan',
    'multicast',
  ],
  ...[
    [],
    {},
    [null],
    [[]],
    { elem: [[1, 2]] },
    { __proto__: null, toString: 1 },
    nested(60),
    Array(40).fill('10.0.0.0/24'),
  ],
];

const TOKENS = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '=',
  '\n',
  '\0',
  '\u{10ffff}',
  '1e999',
  '-',
  '.',
  '/',
  '__proto__',
  '\\ud800',
  '"":',
  ' ',
].map((text) => Buffer.from(text));

type Container = Record<string, unknown> | unknown[];
interface Place {
  readonly parent: Container;
  readonly key: string;
}

function places(value: unknown, found: Place[] = []): Place[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return found;
  for (const key of Object.keys(value)) {
    found.push({ parent: value as Container, key });
    places((value as Record<string, unknown>)[key], found);
  }
  return found;
}

/** Damages a value in place, and returns it. */
export function damageValue(root: { value: unknown }, [kind, at, what]: Damage): void {
  const all = places(root);
  const { parent, key } = all[at % all.length]!;
  const slots = parent as Record<string, unknown>;
  const other = all[what % all.length]!;
  if (kind === 0) slots[key] = structuredClone(VALUES[what % VALUES.length]);
  else if (kind === 1 && Array.isArray(parent)) parent.splice(Number(key), 1);
  else if (kind === 1 && parent !== root) delete slots[key];
  else if (kind === 2) slots[key] = structuredClone((other.parent as Record<string, unknown>)[other.key]);
  else if (kind === 3 && Array.isArray(parent)) parent.push(...structuredClone(parent.slice(0, 64)));
  else if (!Array.isArray(parent))
    Object.defineProperty(parent, String(VALUES[what % VALUES.length]).slice(0, 40), {
      value: slots[key],
      enumerable: true,
      configurable: true,
      writable: true,
    });
}

export function damageBytes(bytes: Buffer, [kind, at, what]: Damage): Buffer {
  const from = bytes.length === 0 ? 0 : at % bytes.length;
  const to = Math.min(bytes.length, from + 1 + (what % 24));
  const [before, after] = [bytes.subarray(0, from), bytes.subarray(from)];
  switch (kind) {
    case 5: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[from] = copy[from]! ^ (1 << (what % 8));
      return copy;
    }
    case 6: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[from] = what & 255;
      return copy;
    }
    case 7:
      return Buffer.concat([before, TOKENS[what % TOKENS.length]!, after]);
    case 8:
      return Buffer.concat([before, bytes.subarray(to)]);
    case 9:
      return before;
    case 10:
      return Buffer.concat([before, bytes.subarray(from, to), after]);
    default:
      return Buffer.concat([before, Buffer.from([what & 255, what >> 8]), after]);
  }
}

const STRUCTURE_KINDS = 5;
const KINDS = 12;
const damage = fc.tuple(fc.nat(KINDS - 1), fc.nat(0xffff), fc.nat(0xffff));

/** How a target's inputs are written: as bytes of what value. */
export interface Notation {
  readonly read: (bytes: Buffer) => unknown;
  readonly write: (value: unknown) => Buffer;
}

export const json: Notation = {
  read: (bytes) => JSON.parse(bytes.toString('utf8')),
  write: (value) => Buffer.from(JSON.stringify(value) ?? ''),
};

function damaged(sample: Buffer, damages: readonly Damage[], notation: Notation | undefined): Buffer {
  let bytes = sample;
  const structural = notation ? damages.filter(([kind]) => kind < STRUCTURE_KINDS) : [];
  if (notation && structural.length > 0) {
    try {
      const root = { value: notation.read(sample) };
      for (const one of structural) damageValue(root, one);
      bytes = notation.write(root.value);
    } catch {
      // A sample of the corpus that is not of the notation: only its bytes are damaged.
    }
  }
  for (const one of damages) if (one[0] >= STRUCTURE_KINDS || !notation) bytes = damageBytes(bytes, one);
  return bytes;
}

/** Damaged samples. The damage is small most of the time. */
export function inputs(samples: readonly Buffer[], notation: Notation | undefined): fc.Arbitrary<Buffer> {
  return fc
    .tuple(fc.nat(samples.length - 1), fc.array(damage, { maxLength: 7 }))
    .map(([index, damages]) => damaged(samples[index]!, damages, notation));
}
