// The printed table of a run. Pure.

import { type Absence, type Facts, type Result, type Row, sizeText } from './result.js';

const digits = (value: number): string => {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value >= 1 ? value.toFixed(2) : value.toFixed(3);
};

const ratio = (value: number, of: number): string => (of > 0 ? `${digits(value / of)}×` : '');

/** All rows, each with its ratio to the floor and to the base where there is one. */
export function tableText({ facts, rows, absent }: Result): string {
  const header = ['', 'p50', 'p99', 'first', '', 'n', '× floor p50', '× floor p99', 'base p50', 'of base', '× ours'];
  const lines = rows.filter(({ column }) => column !== 'base').map((row) => cells(row, rows));
  const widths = header.map((title, index) =>
    Math.max(...[header, ...lines].map((line) => line[index]?.length ?? 0), title.length),
  );
  const text = (line: readonly string[]): string =>
    line
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0)))
      .join('  ')
      .trimEnd();
  return [factsText(facts), '', text(header), ...lines.map(text), ...absent.map(absenceText)].join('\n');
}

function cells(row: Row, rows: readonly Row[]): string[] {
  const { times, unit } = row;
  const floor =
    row.column === 'own' ? rows.find((other) => other.column === 'floor' && isFloorOf(other, row)) : undefined;
  const base = row.column === 'own' ? rows.find((other) => other.column === 'base' && isSame(other, row)) : undefined;
  const ours = rows.find((other) => other.column === 'own' && other.what === row.beside);
  const who = row.column === 'own' ? '' : `${row.column}: `;
  return [
    `${row.name.padEnd(7)} ${who}${row.what}${row.size === undefined ? '' : `; ${sizeText(row.size)}`}`,
    digits(times.p50),
    digits(times.p99),
    times.first === undefined ? '' : digits(times.first),
    unit,
    String(times.count),
    floor === undefined ? '' : ratio(times.p50, floor.times.p50),
    floor === undefined ? '' : ratio(times.p99, floor.times.p99),
    base === undefined ? '' : digits(base.times.p50),
    base === undefined ? '' : ratio(times.p50, base.times.p50),
    ours === undefined ? '' : ratio(times.p50, ours.times.p50),
  ];
}

/** Everything that ends as a plug has a plug's floor; an unplug and the seat server have floors of their own. */
function isFloorOf(floor: Row, row: Row): boolean {
  if (row.name === 'seatd') return floor.name === 'seatd';
  const isEvent = ['plug', 'unplug', 'heard'].includes(row.name) && row.what !== 'nothing left to be done';
  return isEvent && floor.what === (row.name === 'unplug' ? 'unplug' : 'plug');
}

const isSame = (one: Row, other: Row): boolean =>
  one.name === other.name && one.what === other.what && JSON.stringify(one.size) === JSON.stringify(other.size);

const absenceText = ({ name, what, reason }: Absence): string => `${name.padEnd(7)} ${what}: not measured, ${reason}`;

function factsText({ at, commit, base, machine, cores, memoryMB, load, nice, kernel, versions }: Facts): string {
  const tools = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `commit ${commit}${base === undefined ? '' : `, base ${base}`}, ${at}`,
    `${machine}, ${cores} cores, ${memoryMB} MB, load ${load.toFixed(2)}${nice === 0 ? '' : `, nice ${nice}`}, Linux ${kernel}, ${tools.join(', ')}`,
  ].join('\n');
}
