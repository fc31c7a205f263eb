import type { LoadFacts, SeatLoad } from './facts.js';
import { about, type Finding } from './finding.js';

const { ok, warning } = about('shares');

/** Percent of the last 10 s from which on somebody at a seat notices that its programs wait. */
const noticed = { cpu: 40, memory: 10, io: 40 } as const;
/** Part of its processes from which on a seat soon has too many. */
const nearlyAll = 0.9;

/** Whether seats wait for each other, and who uses the processors now. */
export function checkLoad(facts: LoadFacts | undefined): Finding[] {
  if (facts === undefined) return [];
  const findings = facts.seats.flatMap((one) => ofSeat(one, facts));
  return findings.length > 0 ? findings : [ok(`no seat waits long; ${usage(facts)}`)];
}

function ofSeat(one: SeatLoad, facts: LoadFacts): Finding[] {
  const name = one.seats.join(' and ');
  const { waits, processes, mostProcesses } = one;
  const waited = (what: keyof typeof noticed): boolean => (waits[what] ?? 0) >= noticed[what];
  const text = (what: keyof typeof noticed, thing: string): string =>
    `${name}: in ${Math.round(waits[what] ?? 0)} % of the last 10 s programs waited for ${thing}`;
  return [
    ...(waited('cpu')
      ? [
          warning(
            `${text('cpu', 'a processor')}; ${usage(facts)}`,
            'give this seat a greater weight (resources: { cpu: … }); hotseat explain --seat SEAT says what it has now',
          ),
        ]
      : []),
    ...(waited('memory')
      ? [
          warning(
            text('memory', 'memory'),
            'close programs there, or raise the memory of its seat file; free -h says what the PC has',
          ),
        ]
      : []),
    ...(waited('io')
      ? [
          warning(
            text('io', 'a disk'),
            'give this seat a greater weight (resources: { io: … }); weights need the scheduler bfq',
          ),
        ]
      : []),
    ...(processes !== undefined && mostProcesses !== undefined && processes >= nearlyAll * mostProcesses
      ? [
          warning(
            `${name}: it has ${processes} of ${mostProcesses} processes and threads, and soon can start none`,
            'end the programs there that start them, or raise pids in its seat file',
          ),
        ]
      : []),
  ];
}

/** `4 processors, of which left uses 3.6, right uses 0.1, the rest of the PC uses 0.2`. */
const usage = ({ processors, seats, rest }: LoadFacts): string => {
  const each = seats.map(({ seats: names, processors: used }) => `${names.join(' and ')} uses ${used.toFixed(1)}`);
  return `${processors} processors, of which ${[...each, `the rest of the PC uses ${rest.toFixed(1)}`].join(', ')}`;
};
