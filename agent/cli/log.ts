import { setTimeout as pause } from 'node:timers/promises';
import { trailFile } from '../audit/trail.js';
import { TrailFile } from '../audit/trail-file.js';
import { compare, isFailure, TrailReader, type TrailRecord } from '../audit/trail-reader.js';
import { permitted } from '../control/permission.js';
import { pidOf, processKey } from '../kernel/process-key.js';
import { duration } from './duration.js';
import { endsBySignal } from './ends-by-signal.js';
import { bad, type Line, render, showsColours, soon, type Toned } from './line.js';
import { asciiJson } from './printable.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** How often a trail that is followed is looked at, ms. */
const lookEvery = 300;

/** `hotseat log`: reads the files, so that it needs no agent. */
export const log: Verb = {
  summary: 'show the audit trail: devices bound, taken back and attached, policies loaded; when, why and by whom',
  usage: 'log [--seat SEAT] [--device DEVICE] [--since TIME] [--failed] [--follow] [--json]',
  options: {
    seat: { type: 'string', help: 'only this seat' },
    device: { type: 'string', help: 'only this device: a node, a path in /sys, a kernel name or a name' },
    since: { type: 'string', help: 'only the last 30s, 10m, 1h' },
    failed: { type: 'boolean', help: 'only actions that failed or were interrupted' },
    follow: { type: 'boolean', help: 'wait for new lines, until you interrupt it' },
    json: { type: 'boolean', help: 'print JSON, one record a line' },
  },
  examples: [
    { line: 'log --since 1h', help: 'the last hour, with or without an agent' },
    { line: 'log --failed', help: 'failures, and actions that a crash or a power cut interrupted' },
    { line: 'log --device /dev/input/event3 --follow', help: 'everything about this keyboard, as it happens' },
  ],
  run: async ({ options }: Call): Promise<ExitCode> => {
    // Before the first line: a reader of it may end the verb.
    const stop = options['follow'] === true ? endsBySignal().signal : undefined;
    const wanted = filter(options);
    const show = (records: readonly TrailRecord[]): void => {
      for (const record of records.filter(wanted)) {
        if (options['json'] === true) console.log(asciiJson(record));
        else console.log(render(lineOf(record), showsColours(process.stdout)));
      }
    };
    const file = new TrailFile(trailFile);
    const reader = new TrailReader();
    const closed = reader.take(readable(() => file.read()));
    show([...closed, ...reader.unclosed(runs)].sort((a, b) => compare(a.id, b.id)));
    if (reader.damaged > 0) console.error(`hotseat log: lines that are no records: ${reader.damaged}`);
    if (stop === undefined) return 0;
    while (!stop.aborted) {
      await pause(lookEvery, undefined, { signal: stop }).catch(() => undefined);
      show(reader.take(readable(() => file.read())));
    }
    return 0;
  },
};

/** Whether the agent that began a record still runs. Where /proc hides others' processes, it may. */
function runs(process: string): boolean {
  try {
    return processKey(pidOf(process)) === process;
  } catch {
    return true;
  }
}

function readable(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    throw new Error(
      `the audit trail, ${trailFile}, is for root and for members of the group ${permitted.all} to read: as root, ` +
        `usermod --append --groups ${permitted.all} NAME, and log in again`,
    );
  }
}

function filter({ seat, device, since, failed }: Call['options']): (record: TrailRecord) => boolean {
  const begin = typeof since === 'string' ? new Date(Date.now() - duration('since', since)).toISOString() : '';
  return (record) =>
    record.at >= begin &&
    (seat === undefined || record.seat === seat) &&
    (typeof device !== 'string' || isOf(device, record)) &&
    (failed !== true || isFailure(record));
}

const isOf = (wanted: string, { device = '', name, nodes = [] }: TrailRecord): boolean =>
  [device, name, ...nodes].includes(wanted) || device.endsWith(`/${wanted}`);

function lineOf(record: TrailRecord): Line {
  const { at, what, seat, container, name, nodes = [], rule, until, by, error, took } = record;
  const where = seat === undefined ? '' : `  ${seat}${container === undefined ? '' : ` (${container})`}`;
  const thing = [name, ...nodes].filter((text) => text !== undefined).join(' ');
  const facts = [
    thing,
    placeOf(record),
    rule === undefined ? '' : JSON.stringify(rule),
    took === undefined ? '' : `took ${took}`,
    until === undefined ? '' : `until ${until}`,
    ...revocation(record),
    by === undefined ? '' : `by uid ${by.uid} (pid ${by.pid})`,
    error ?? '',
  ].filter((text) => text !== '');
  return [`${at}  ${what.padEnd(7)} `, ending(record), `${where}  ${facts.join(', ')}`];
}

function ending({ what, result, ms }: TrailRecord): Toned | string {
  switch (result) {
    case 'done':
      return what === 'run' ? 'ended' : `${ms} ms`;
    case 'gone':
      return soon('unplugged meanwhile');
    case 'failed':
      return bad('FAILED');
    case 'open':
      return soon(what === 'run' ? 'runs' : 'under way');
    case 'unclosed':
      return bad(what === 'run' ? 'INTERRUPTED' : 'NOT CLOSED');
  }
}

const placeOf = ({ file, line, revision }: TrailRecord): string =>
  file === undefined ? '' : line === undefined ? file : `${file}:${line}@${revision.slice(0, 12)}`;

const revocation = ({ revoked, left = [], rebound }: TrailRecord): string[] => [
  revoked === undefined ? '' : `descriptors taken back: ${revoked}`,
  left.length === 0 ? '' : `left: ${left.join(', ')}`,
  rebound === undefined ? '' : `bound again: ${rebound}`,
];
