/** The table of measured paths, line by line, so that each row can be printed as soon as it is known. Pure. */
import { formatMs, formatRate } from '../text/units.ts';
import type { Outcome, Path } from './paths.ts';

const TITLES = { from: 'FROM', to: 'TO', address: 'ADDRESS', where: '', roundTrip: 'ROUND TRIP', rate: 'THROUGHPUT' };
const MARGIN = '  ';
const GAP = '   ';
const ACROSS = 'across hosts';
const SAME = 'same host';

interface Columns {
  readonly from: number;
  readonly to: number;
  readonly address: number;
  readonly where: number;
}

const where = ({ from, to }: Path) => (from.host === to.host ? SAME : ACROSS);
const width = (title: string, values: readonly string[]) =>
  Math.max(title.length, ...values.map(({ length }) => length));

export class PathTable {
  readonly #columns: Columns;

  constructor(paths: readonly Path[]) {
    this.#columns = {
      from: width(
        TITLES.from,
        paths.map(({ from }) => from.stack),
      ),
      to: width(
        TITLES.to,
        paths.map(({ to }) => to.stack),
      ),
      address: width(
        TITLES.address,
        paths.map(({ to }) => to.address),
      ),
      where: width(TITLES.where, paths.map(where)),
    };
  }

  #left(from: string, to: string, address: string, place: string): string {
    const { from: a, to: b, address: c, where: d } = this.#columns;
    return MARGIN + [from.padEnd(a), to.padEnd(b), address.padEnd(c), place.padEnd(d)].join(GAP);
  }

  header(): string {
    const { from, to, address, where: place, roundTrip, rate } = TITLES;
    return `${this.#left(from, to, address, place)}${GAP}${roundTrip}${GAP}${rate.padStart(11)}`;
  }

  row(path: Path, outcome: Outcome): string {
    const left = this.#left(path.from.stack, path.to.stack, path.to.address, where(path));
    if (!outcome.ok) return `${left}${GAP}FAILED: ${outcome.error}`;
    const roundTrip = formatMs(outcome.roundTripMs).padStart(TITLES.roundTrip.length);
    return `${left}${GAP}${roundTrip}${GAP}${formatRate(outcome.bitsPerSecond).padStart(11)}`;
  }
}

/** The last line, for people and for scripts. */
export function verdict(outcomes: readonly Outcome[]): string {
  return `connected: ${outcomes.filter(({ ok }) => ok).length}/${outcomes.length} paths`;
}
