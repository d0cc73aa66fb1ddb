/** A strict reader of Prometheus' text format 0.0.4, which also holds names against prometheus.io/docs/practices/naming. */
import assert from 'node:assert/strict';

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = '[a-z_][a-z0-9_]*';
const LABEL = `${NAME}="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"`;
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (-?[0-9][0-9.e+-]*)$`);
/** Not base units: milliseconds, minutes, kilobytes, percent. */
const WRONG_UNIT = /_(ms|milliseconds|minutes|hours|kb|kilobytes|mb|percent|pct)(_|$)/;

function labelsOf(text = ''): Record<string, string> {
  const pairs = text.match(new RegExp(LABEL, 'g')) ?? [];
  const unescaped = (value: string) => value.replaceAll(/\\([\\"n])/g, (_, c: string) => (c === 'n' ? '\n' : c));
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at), unescaped(pair.slice(at + 2, -1))];
    }),
  );
}

/** @throws AssertionError for a line, an order or a name that the format or the conventions do not allow. */
export function parseExposition(text: string): Series[] {
  assert.ok(text.endsWith('\n'), 'the last line has no end');
  const types = new Map<string, string>();
  const seen = new Set<string>();
  const series: Series[] = [];
  let current = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, help] = new RegExp(`^# HELP (${NAME}) \\S.*$`).exec(line) ?? [];
    const [, typed, type] = new RegExp(`^# TYPE (${NAME}) (gauge|counter)$`).exec(line) ?? [];
    if (help) {
      assert.ok(!types.has(help), `${help} comes twice`);
      current = help;
      continue;
    }
    if (typed) {
      assert.equal(typed, current, 'TYPE without HELP before it');
      assert.equal(type === 'counter', typed.endsWith('_total'), `${typed} is a ${type}`);
      assert.doesNotMatch(typed, WRONG_UNIT);
      types.set(typed, type!);
      continue;
    }
    const [, name, labels, value] = SAMPLE.exec(line) ?? [];
    assert.ok(name && types.has(name) && name === current, `not in its family, or no sample: ${line}`);
    const one = { name, labels: labelsOf(labels), value: Number(value) };
    assert.ok(Number.isFinite(one.value), line);
    const key = `${name} ${JSON.stringify(Object.entries(one.labels).sort())}`;
    assert.ok(!seen.has(key), `twice: ${line}`);
    seen.add(key);
    series.push(one);
  }
  return series;
}

/** The value of the one series that has these labels among its own; undefined when there is none. */
export function sampleOf(
  series: readonly Series[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const found = series.filter(
    (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
  );
  assert.ok(found.length <= 1, `${found.length} series ${name} ${JSON.stringify(labels)}`);
  return found[0]?.value;
}
