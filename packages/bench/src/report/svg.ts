/** Line and bar charts as SVG text, without scripts or fonts of their own: they look the same in a page and as a file. */

export interface Series {
  readonly name: string;
  /** [x, y] */
  readonly points: readonly (readonly [number, number])[];
  /** Points that belong together in no line: only marks. */
  readonly marksOnly?: boolean;
}

export interface ChartLabels {
  readonly title: string;
  readonly x: string;
  readonly y: string;
}

export interface LineChart extends ChartLabels {
  readonly series: readonly Series[];
  readonly logY?: boolean;
  /** Upright lines with a word each. */
  readonly marks?: readonly { readonly x: number; readonly text: string }[];
}

const WIDTH = 860;
const HEIGHT = 360;
const LEFT = 70;
const RIGHT = 200;
const TOP = 34;
const BOTTOM = 44;
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT = HEIGHT - TOP - BOTTOM;
const COLORS = [
  '#1f6feb',
  '#d1242f',
  '#1a7f37',
  '#9a6700',
  '#8250df',
  '#bf3989',
  '#0a7ea4',
  '#57606a',
  '#bc4c00',
  '#4d2d00',
];
const LEGEND_LINE = 16;
const LEGEND_TEXT_LINE = 12;
/** What fits beside the plot, at 11 px. */
const LEGEND_CHARACTERS = 27;

export function lineChart({ series, logY = false, marks = [], ...labels }: LineChart): string {
  const points = series.flatMap((one) => one.points).filter(([, y]) => !logY || y > 0);
  const xMax = Math.max(1e-9, ...points.map(([x]) => x), ...marks.map(({ x }) => x));
  const yMax = Math.max(1e-9, ...points.map(([, y]) => y)) * (logY ? 1 : 1.05);
  const yMin = logY ? Math.min(yMax / 10, ...points.map(([, y]) => y)) : 0;
  const xTicks = ticks(0, xMax);
  const yTicks = logY ? logTicks(yMin, yMax) : ticks(0, yMax);
  const toX = (x: number) => LEFT + (x / xMax) * PLOT_WIDTH;
  const share = (y: number) => (logY ? Math.log(y / yMin) / Math.log(yMax / yMin) : y / yMax);
  const toY = (y: number) => TOP + (1 - share(y)) * PLOT_HEIGHT;
  const lines = series.map((one, index) => {
    const color = colorOf(index);
    const visible = one.points.filter(([, y]) => !logY || y > 0).map(([x, y]) => [toX(x), toY(y)] as const);
    const dots =
      visible.length > 60
        ? ''
        : visible.map(([x, y]) => `<circle cx="${at(x)}" cy="${at(y)}" r="2.5" fill="${color}"/>`).join('');
    const path = visible.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${at(x)} ${at(y)}`).join('');
    return `${one.marksOnly === true ? '' : `<path d="${path}" fill="none" stroke="${color}" stroke-width="1.6"/>`}${dots}`;
  });
  const uprights = marks.map(
    ({ x, text }) =>
      `<line x1="${at(toX(x))}" x2="${at(toX(x))}" y1="${TOP}" y2="${TOP + PLOT_HEIGHT}" stroke="#57606a" stroke-dasharray="4 3"/>` +
      `<text x="${at(toX(x) - 4)}" y="${TOP + 12}" text-anchor="end">${escaped(text)}</text>`,
  );
  return frame(labels, [
    grid(
      xTicks.map((x) => [toX(x), x]),
      yTicks.map((y) => [toY(y), y]),
    ),
    ...lines,
    ...uprights,
    legend(series.map(({ name }) => name)),
  ]);
}

export interface StackedBar {
  readonly name: string;
  readonly parts: readonly { readonly name: string; readonly value: number }[];
}

/** A lying bar for each, its parts one after another. */
export function stackedBars(labels: ChartLabels, bars: readonly StackedBar[]): string {
  const names = [...new Set(bars.flatMap(({ parts }) => parts.map(({ name }) => name)))];
  const totals = bars.map(({ parts }) => parts.reduce((sum, { value }) => sum + value, 0));
  const xMax = Math.max(1e-9, ...totals);
  const rowHeight = Math.min(60, PLOT_HEIGHT / Math.max(1, bars.length));
  const toX = (x: number) => LEFT + (x / xMax) * PLOT_WIDTH;
  const rows = bars.map(({ name, parts }, row) => {
    const y = TOP + row * rowHeight + rowHeight * 0.25;
    let from = 0;
    const cells = parts.map(({ name: part, value }) => {
      const x = toX(from);
      from += value;
      const width = toX(from) - x;
      return `<rect x="${at(x)}" y="${at(y)}" width="${at(width)}" height="${at(rowHeight * 0.5)}" fill="${colorOf(names.indexOf(part))}"><title>${escaped(part)}: ${value.toFixed(2)}</title></rect>`;
    });
    return `${cells.join('')}<text x="${LEFT}" y="${at(y - 3)}">${escaped(name)}: ${totals[row]!.toFixed(1)}</text>`;
  });
  return frame(labels, [
    grid(
      ticks(0, xMax).map((x) => [toX(x), x]),
      [],
    ),
    ...rows,
    legend(names),
  ]);
}

function frame({ title, x, y }: ChartLabels, content: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="11" fill="#24292f">` +
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>` +
    `<text x="${LEFT}" y="18" font-size="14" font-weight="600">${escaped(title)}</text>` +
    `<text x="${LEFT + PLOT_WIDTH}" y="${HEIGHT - 8}" text-anchor="end">${escaped(x)}</text>` +
    `<text transform="translate(14 ${TOP}) rotate(-90)" text-anchor="end">${escaped(y)}</text>` +
    `${content.join('')}</svg>`
  );
}

function grid(xs: readonly (readonly [number, number])[], ys: readonly (readonly [number, number])[]): string {
  const upright = xs.map(
    ([x, value]) =>
      `<line x1="${at(x)}" x2="${at(x)}" y1="${TOP}" y2="${TOP + PLOT_HEIGHT}" stroke="#eaeef2"/>` +
      `<text x="${at(x)}" y="${TOP + PLOT_HEIGHT + 15}" text-anchor="middle">${tickText(value)}</text>`,
  );
  const level = ys.map(
    ([y, value]) =>
      `<line x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${at(y)}" y2="${at(y)}" stroke="#eaeef2"/>` +
      `<text x="${LEFT - 6}" y="${at(y + 4)}" text-anchor="end">${tickText(value)}</text>`,
  );
  return [...upright, ...level].join('');
}

function legend(names: readonly string[]): string {
  const x = LEFT + PLOT_WIDTH + 14;
  let y = TOP;
  return names
    .map((name, index) => {
      const lines = inLines(name);
      const text = lines.map(
        (line, i) => `<tspan x="${x + 14}" y="${y + 9 + i * LEGEND_TEXT_LINE}">${escaped(line)}</tspan>`,
      );
      const entry = `<rect x="${x}" y="${y}" width="10" height="10" fill="${colorOf(index)}"/><text>${text.join('')}</text>`;
      y += LEGEND_LINE + (lines.length - 1) * LEGEND_TEXT_LINE;
      return entry;
    })
    .join('');
}

/** A name in lines that fit beside the plot, broken between words. */
function inLines(name: string): string[] {
  const lines: string[] = [];
  for (const word of name.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= LEGEND_CHARACTERS)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Some round numbers between two. */
export function ticks(min: number, max: number): number[] {
  const rough = (max - min) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough)! * power;
  return Array.from({ length: Math.floor((max - min) / step + 1e-9) + 1 }, (_, i) => min + i * step);
}

function logTicks(min: number, max: number): number[] {
  const all: number[] = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); power++) {
    for (const factor of [1, 2, 5]) {
      const value = factor * 10 ** power;
      if (value >= min && value <= max) all.push(value);
    }
  }
  return all;
}

function tickText(value: number): string {
  if (value >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e3) return `${+(value / 1e3).toPrecision(3)}k`;
  return String(+value.toPrecision(3));
}

function colorOf(index: number): string {
  return COLORS[index % COLORS.length]!;
}

function at(value: number): string {
  return value.toFixed(1);
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
