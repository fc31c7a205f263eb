import { ask } from '../control/client.js';
import type { Attached } from '../control/messages.js';
import { controlSocket } from '../seat/layout.js';
import { json, print } from './answer.js';
import { duration } from './duration.js';
import { bad, good, type Line } from './line.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** Longer than an exchange of drivers takes, ms. */
const patience = 60_000;

/** `hotseat attach`: exits 1 when the device is not where it must be yet. */
export const attach: Verb = {
  summary: 'give a device to a seat by hand, until it is detached, its time is over, or the PC boots',
  usage: 'attach DEVICE SEAT [--for TIME] [--force] [--json]  (DEVICE: as in explain)',
  options: {
    for: { type: 'string', help: 'only this long: 30s, 10m, 1h' },
    force: {
      type: 'boolean',
      help: 'even if the host loses its last keyboard, or nothing tells it from another device',
    },
    ...json,
  },
  examples: [
    { line: 'attach /dev/input/event3 right --for 1h', help: 'this keyboard is at right for an hour' },
    { line: 'attach card2 left', help: 'a sound card, until hotseat detach or a boot' },
  ],
  run: async (call: Call): Promise<ExitCode> => {
    const { options, words } = call;
    const [device, seat] = words;
    if (device === undefined || seat === undefined)
      throw new Error('name the device and the seat: hotseat devices lists them');
    const forMs = typeof options['for'] === 'string' ? duration('for', options['for']) : undefined;
    const request = { verb: 'attach', device, seat, forMs, force: options['force'] === true } as const;
    const answer = await ask(controlSocket, request, patience);
    print(call, answer, (told) => [
      [...whose(told), `, ${told.until === undefined ? 'until hotseat detach or a boot' : `until ${told.until}`}`],
      ...problem(told),
    ]);
    return answer.owner === answer.seat && answer.problem === undefined ? 0 : 1;
  },
};

/** `hotseat detach`. */
export const detach: Verb = {
  summary: 'take back a device that was attached by hand; the seat files decide again',
  usage: 'detach DEVICE [--json]  (DEVICE: as in explain; a device that is not plugged, by its name or port)',
  options: json,
  examples: [{ line: 'detach /dev/input/event3', help: 'before its time is over' }],
  run: async (call: Call): Promise<ExitCode> => {
    const [device] = call.words;
    if (device === undefined)
      throw new Error('name the device: hotseat status lists the devices that are attached by hand');
    const answer = await ask(controlSocket, { verb: 'detach', device }, patience);
    print(call, answer, (told) => [whose(told), ...problem(told)]);
    return answer.problem === undefined ? 0 : 1;
  },
};

const whose = ({ name, port, owner }: Attached): Exclude<Line, string> => [
  `${name}${port === '' ? '' : ` (${port})`}: `,
  owner === 'conflict' ? bad(owner) : good(owner),
];

const problem = (told: Attached): Line[] =>
  told.problem === undefined ? [] : [['  ', bad('problem'), `: ${told.problem}`]];
