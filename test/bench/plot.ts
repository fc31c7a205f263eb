// How times grow with the house, as SVG. Pure.

/** A line: points of (what it grows with, ms), in the order of the first. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

const width = 640;
const height = 360;
const margin = { left: 64, right: 170, top: 36, bottom: 44 };
const colours = ['#1f77b4', '#d62728', '#7f7f7f', '#2ca02c', '#9467bd', '#ff7f0e'];

/** Both axes are logarithmic; what is 0 stands at the left edge, as 1 would. */
export function plot(title: string, across: string, series: readonly Series[]): string {
  const points = series.flatMap((one) => one.points);
  const xs = points.map(([x]) => Math.max(x, 1));
  const ys = points.map(([, y]) => y).filter((y) => y > 0);
  if (ys.length === 0) throw new Error('nothing to draw');
  const x = scale(Math.min(...xs), Math.max(...xs), margin.left, width - margin.right);
  const y = scale(decadeBelow(Math.min(...ys)), decadeAbove(Math.max(...ys)), height - margin.bottom, margin.top);
  const lines = series.map(({ name, points: own }, index) => {
    const colour = colours[index % colours.length] ?? '#000';
    const at = own.map(([px, py]) => `${x(Math.max(px, 1)).toFixed(1)},${y(py).toFixed(1)}`);
    const dots = at.map((place) => `<circle cx="${place.replace(',', '" cy="')}" r="2.5" fill="${colour}"/>`);
    const legend = margin.top + 16 * index;
    return [
      `<polyline points="${at.join(' ')}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
      ...dots,
      `<text x="${width - margin.right + 12}" y="${legend + 4}" fill="${colour}">${escaped(name)}</text>`,
    ].join('');
  });
  const ticksX = [...new Set(points.map(([value]) => value))].sort((a, b) => a - b);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="${margin.left}" y="18" font-size="13">${escaped(title)}</text>`,
    ...decades(Math.min(...ys), Math.max(...ys)).map((value) => {
      const at = y(value).toFixed(1);
      const line = `<line x1="${margin.left}" x2="${width - margin.right}" y1="${at}" y2="${at}" stroke="#ddd"/>`;
      return `${line}<text x="${margin.left - 6}" y="${Number(at) + 4}" text-anchor="end">${value} ms</text>`;
    }),
    ...ticksX.map(
      (value) =>
        `<text x="${x(Math.max(value, 1)).toFixed(1)}" y="${height - margin.bottom + 16}" text-anchor="middle">${value}</text>`,
    ),
    `<text x="${(margin.left + width - margin.right) / 2}" y="${height - 8}" text-anchor="middle">${escaped(across)}</text>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n');
}

/** Maps a logarithmic range of values to a range of places. */
function scale(from: number, to: number, start: number, end: number): (value: number) => number {
  const span = Math.log(to) - Math.log(from) || 1;
  return (value) => start + ((Math.log(value) - Math.log(from)) / span) * (end - start);
}

const decadeBelow = (value: number): number => 10 ** Math.floor(Math.log10(value));
const decadeAbove = (value: number): number => 10 ** Math.ceil(Math.log10(value));

function decades(least: number, most: number): number[] {
  const found: number[] = [];
  for (let at = Math.floor(Math.log10(least)); at <= Math.ceil(Math.log10(most)); at++) found.push(Number(`1e${at}`));
  return found;
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
