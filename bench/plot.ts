/** A series as an SVG line chart. Pure. */
import { formatNumber, type Series } from './rows.ts';

const WIDTH = 640;
const HEIGHT = 360;
const PAD = { left: 70, right: 150, top: 40, bottom: 50 };
const COLOURS = ['#0b7285', '#e8590c', '#5f3dc4', '#2b8a3e', '#868e96'];

interface Axis {
  readonly ticks: readonly number[];
  /** 0 at the low end, 1 at the high one. */
  readonly place: (value: number) => number;
}

function logAxis(values: readonly number[]): Axis {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return { ticks, place: (value) => (Math.log10(value) - low) / (high - low) };
}

/** Steps of 1, 2 or 5 times a power of ten, four to nine of them, from zero. */
function linearAxis(values: readonly number[]): Axis {
  const top = Math.max(...values, Number.MIN_VALUE);
  const power = 10 ** Math.floor(Math.log10(top / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => top / candidate <= 8)!;
  const count = Math.ceil(top / step);
  return {
    ticks: Array.from({ length: count + 1 }, (_, i) => i * step),
    place: (value) => value / (count * step),
  };
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const text = (x: number, y: number, content: string, extra = '') =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${extra}>${escaped(content)}</text>`;

export function svg(series: Series): string {
  const points = series.lines.flatMap((line) => line.points);
  const axisOf = series.logarithmic ? logAxis : linearAxis;
  const [xAxis, yAxis] = [axisOf(points.map(([x]) => x)), axisOf(points.map(([, y]) => y))];
  const x = (value: number) => PAD.left + xAxis.place(value) * (WIDTH - PAD.left - PAD.right);
  const y = (value: number) => HEIGHT - PAD.bottom - yAxis.place(value) * (HEIGHT - PAD.top - PAD.bottom);
  const [bottom, right] = [HEIGHT - PAD.bottom, WIDTH - PAD.right];
  const grid = [
    ...xAxis.ticks.map(
      (tick) =>
        `<path d="M${x(tick).toFixed(1)} ${PAD.top}V${bottom}" class="grid"/>${text(x(tick), bottom + 18, formatNumber(tick), 'text-anchor="middle"')}`,
    ),
    ...yAxis.ticks.map(
      (tick) =>
        `<path d="M${PAD.left} ${y(tick).toFixed(1)}H${right}" class="grid"/>${text(PAD.left - 8, y(tick) + 4, formatNumber(tick), 'text-anchor="end"')}`,
    ),
  ];
  const lines = series.lines.map((line, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const path = line.points.map(([px, py]) => `${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join('L');
    const dots = line.points.map(([px, py]) => `<circle cx="${x(px).toFixed(1)}" cy="${y(py).toFixed(1)}" r="3"/>`);
    const name = text(right + 12, PAD.top + 14 + index * 20, line.name, 'stroke="none"');
    return `<g stroke="${colour}" fill="${colour}"><path d="M${path}" fill="none" stroke-width="2"/>${dots.join('')}${name}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<style>.grid{stroke:#ddd}</style><rect width="100%" height="100%" fill="#fff"/>
${text(PAD.left, 22, series.title, 'font-size="14" font-weight="bold"')}
${grid.join('\n')}
${lines.join('\n')}
${text((PAD.left + right) / 2, HEIGHT - 12, series.x, 'text-anchor="middle"')}
${text(16, PAD.top - 8, series.y)}
</svg>
`;
}
