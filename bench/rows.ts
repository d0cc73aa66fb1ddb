/** What a benchmark yields: rows of a table, and series of a plot. Pure. */

export interface Goal {
  readonly limit: number;
  readonly at: 'most' | 'least';
}

export interface Row {
  readonly id: string;
  readonly what: string;
  /** Undefined: reported only. */
  readonly goal?: Goal;
  /** Undefined: not measured, and `note` says why. */
  readonly value?: number;
  /** `x` for a ratio. */
  readonly unit: string;
  readonly note?: string;
  /** The single measurements behind the value, by variant. */
  readonly samples?: Readonly<Record<string, readonly number[]>>;
}

export interface Series {
  readonly id: string;
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly logarithmic: boolean;
  readonly lines: readonly { readonly name: string; readonly points: readonly (readonly [number, number])[] }[];
}

export interface Findings {
  readonly rows: readonly Row[];
  readonly series: readonly Series[];
}

export const atMost = (limit: number): Goal => ({ limit, at: 'most' });
export const atLeast = (limit: number): Goal => ({ limit, at: 'least' });

export type Verdict = 'met' | 'missed' | 'reported' | 'not measured';

export function verdict({ goal, value }: Row): Verdict {
  if (value === undefined) return 'not measured';
  if (!goal) return 'reported';
  return (goal.at === 'most' ? value <= goal.limit : value >= goal.limit) ? 'met' : 'missed';
}

/** Three significant digits, and no exponent. */
export function formatNumber(value: number): string {
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 4));
}

const withUnit = (value: number, unit: string) => `${formatNumber(value)} ${unit}`;

function goalText({ goal, unit }: Row): string {
  return goal ? `${goal.at === 'most' ? '<=' : '>='} ${withUnit(goal.limit, unit)}` : '';
}

function cells(row: Row): string[] {
  const value = row.value === undefined ? '' : withUnit(row.value, row.unit);
  return [row.what, value, goalText(row), verdict(row), row.note ?? ''];
}

const HEADER = ['what', 'measured', 'goal', '', 'note'];

/** For the terminal. */
export function textTable(rows: readonly Row[]): string {
  const lines = [HEADER, ...rows.map(cells)];
  const widths = HEADER.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** For docs/performance.md. */
export function markdownTable(rows: readonly Row[]): string {
  const line = (texts: readonly string[]) => `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(HEADER), line(HEADER.map(() => '---')), ...rows.map((row) => line(cells(row)))].join('\n');
}
