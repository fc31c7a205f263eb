// The command line of both benches. Pure.

import { parseArgs } from 'node:util';

export interface Options {
  readonly only: readonly string[];
  /** How many seats there are, one case each. */
  readonly seats: readonly number[];
  /** Keyboards, one case each. */
  readonly bursts: readonly number[];
  /** Keyboards that are plugged one at a time in each round. */
  readonly events: number;
  /** How often each agent is started. */
  readonly rounds: number;
  /** How long it is looked at while nothing happens, s; 0: not at all. */
  readonly idle: number;
  readonly base: string | undefined;
  readonly json: string | undefined;
  readonly plot: string | undefined;
  /** Directory for a profile of each measured agent. */
  readonly profile: string | undefined;
  readonly quiet: boolean;
}

/** The text of `--help` instead of options. */
export type Help = { readonly help: string };

/** The differences between the benches. */
interface Kind extends Partial<Pick<Options, 'seats' | 'bursts' | 'events' | 'rounds' | 'idle'>> {
  /** Options that it does not have. */
  readonly without?: readonly (keyof typeof known)[];
  /** Keyboards at once: the kernel has 800 evdev minors; messages have no such limit. */
  readonly mostAtOnce?: number;
}

/** `rows`: names that `--only` takes, with what each says. @throws Error that says what is wrong and what there is. */
export function optionsOf(
  program: string,
  words: readonly string[],
  rows: Readonly<Record<string, string>>,
  { without = [], mostAtOnce = 5000, ...defaults }: Kind = {},
): Options | Help {
  const usual = { seats: [1, 2, 8, 64], bursts: [50, 600], events: 200, rounds: 5, idle: 60, ...defaults };
  const parsed = (() => {
    try {
      return parseArgs({ args: [...words], options: known, strict: true, allowPositionals: false }).values;
    } catch (error) {
      throw new Error(`${(error as Error).message} (${program} --help says what there is)`);
    }
  })();
  if (parsed.help) return { help: helpOf(program, rows, usual, without) };
  for (const name of without) if (parsed[name] !== undefined) throw new Error(`${program} has no --${name}`);
  const only = list(parsed.only);
  for (const name of only) {
    if (!(name in rows)) throw new Error(`--only ${name}: no such row; there are ${Object.keys(rows).join(', ')}`);
  }
  return {
    only,
    seats: numbers('seats', parsed.seats, 1, 64) ?? usual.seats,
    bursts: numbers('bursts', parsed.bursts, 1, mostAtOnce) ?? usual.bursts,
    events: number('events', parsed.events, 2) ?? usual.events,
    rounds: number('rounds', parsed.rounds, 1) ?? usual.rounds,
    idle: number('idle', parsed.idle, 0) ?? usual.idle,
    base: parsed.base,
    json: parsed.json,
    plot: parsed.plot,
    profile: parsed.profile,
    quiet: parsed.quiet ?? false,
  };
}

const known = {
  only: { type: 'string', multiple: true },
  seats: { type: 'string', multiple: true },
  bursts: { type: 'string', multiple: true },
  events: { type: 'string' },
  rounds: { type: 'string' },
  idle: { type: 'string' },
  base: { type: 'string' },
  json: { type: 'string' },
  plot: { type: 'string' },
  profile: { type: 'string' },
  quiet: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

const list = (values: readonly string[] | undefined): string[] =>
  (values ?? []).flatMap((value) => value.split(',')).filter((value) => value !== '');

function number(name: string, text: string | undefined, least: number, most = 100_000): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Error(`--${name} ${text}: not a whole number from ${least} to ${most}`);
}

function numbers(name: string, values: readonly string[] | undefined, least: number, most: number) {
  if (values === undefined) return undefined;
  return list(values).map((text) => number(name, text, least, most) ?? least);
}

function helpOf(
  program: string,
  rows: Readonly<Record<string, string>>,
  usual: Pick<Options, 'seats' | 'bursts' | 'events' | 'rounds' | 'idle'>,
  without: readonly string[],
): string {
  const width = Math.max(...Object.keys(rows).map((name) => name.length));
  const options: readonly (readonly [keyof typeof known, string, string])[] = [
    ['base', 'REV', 'another commit beside this checkout, measured in turns with it; ratios are printed'],
    ['seats', 'N[,N]', `cases of so many seats (${usual.seats.join(',')})`],
    ['bursts', 'N[,N]', `keyboards that are plugged at once (${usual.bursts.join(',')})`],
    ['events', 'N', `keyboards that are plugged one at a time in each round (${usual.events})`],
    ['rounds', 'N', `how often each agent is started (${usual.rounds})`],
    ['idle', 'SECONDS', `how long it is looked at while nothing happens; 0: not at all (${usual.idle})`],
    ['json', 'FILE', 'writes everything as JSON'],
    ['plot', 'FILE', 'draws how times grow with the house, as SVG'],
    ['profile', 'DIR', 'where the time goes, a .cpuprofile for each agent; times are longer meanwhile'],
    ['quiet', '', 'says nothing while it runs'],
  ];
  return [
    `${program} -- [options]     (as root)`,
    '',
    'Measures this checkout as it is built, prints what it measured, and leaves nothing behind.',
    '',
    '  --only ROW[,ROW]   these rows alone:',
    ...Object.entries(rows).map(([name, what]) => `      ${name.padEnd(width)}  ${what}`),
    ...options.flatMap(([name, value, what]) =>
      without.includes(name) ? [] : [`  ${`--${name} ${value}`.padEnd(17)}  ${what}`],
    ),
    '',
    'Times are ms: median, 99th percentile, and the first after a start.',
  ].join('\n');
}
