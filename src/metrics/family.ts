/** A metric with its samples, as the daemons hand it over. Names and units by prometheus.io/docs/practices/naming. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  /** None: the family is left out. All have the same labels. */
  readonly samples: readonly Sample[];
}

const family =
  (type: Family['type']) =>
  (name: string, help: string, samples: number | undefined | readonly Sample[]): Family => ({
    name,
    help,
    type,
    samples: typeof samples === 'object' ? samples : samples === undefined ? [] : [{ value: samples }],
  });
/** What goes up and down. */
export const gauge = family('gauge');
/** What only grows while the process runs; its name ends in `_total`. */
export const counter = family('counter');

/** One sample for each of `values`, also for those that do not occur: a series that comes and goes is hard to alert on. */
export function tally(label: string, values: readonly string[], found: readonly string[]): Sample[] {
  const counts = new Map(values.map((value) => [value, 0]));
  for (const value of found) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, count]) => ({ labels: { [label]: value }, value: count }));
}
