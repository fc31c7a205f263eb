import { basename } from 'node:path';
import { ask } from '../control/client.js';
import type { Explanation } from '../control/messages.js';
import { controlSocket } from '../seat/layout.js';
import { json, print } from './answer.js';
import { describe, leftText, outputText } from './device-tree.js';
import type { Line } from './line.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat explain`: exits 1 when no seat has the device. */
export const explain: Verb = {
  summary: 'say why a device is where it is: the rule that won, and what failed in each other rule',
  usage:
    'explain DEVICE | --seat SEAT [--json]  (DEVICE: /dev/input/event3, input7, a path in /sys, a name, or an output: card1-DP-1)',
  options: {
    ...json,
    seat: {
      type: 'string',
      help: 'explain the shares of this seat: where they come from, how they are set, and what they count against',
    },
  },
  examples: [
    { line: 'explain /dev/input/event3', help: 'why this keyboard is where it is' },
    { line: 'explain card1-DP-1', help: 'why this output of a graphics card is where it is' },
    { line: 'explain --seat left', help: 'why this seat has its shares of processors and memory' },
  ],
  run: async (call: Call): Promise<ExitCode> => {
    const { seat } = call.options;
    if (typeof seat === 'string') return explainSeat(call, seat);
    const [device] = call.words;
    if (device === undefined) throw new Error('name the device: hotseat devices lists them');
    const answer = await ask(controlSocket, { verb: 'explain', device }, 10_000);
    print(call, answer, lines);
    return ['host', 'conflict', 'nobody'].includes(answer.owner) ? 1 : 0;
  },
};

async function explainSeat(call: Call, seat: string): Promise<ExitCode> {
  const answer = await ask(controlSocket, { verb: 'explain-shares', seat }, 10_000);
  print(call, answer, ({ resources, means, beside, problem }) => [
    seat,
    ...resources.map(({ text, origin }) => `  ${text.padEnd(22)} ${origin}`),
    `  set by ${means}`,
    ...beside.map((line) => `  ${line}`),
    ...(problem === undefined ? [] : [`  not as asked for: ${problem}`]),
  ]);
  return answer.problem === undefined ? 0 : 1;
}

function lines(answer: Explanation): Line[] {
  const outputs = answer.outputs ?? [];
  return [
    ...(answer.output === undefined
      ? [describe(answer), ...outputs.map((output): Line => ['  ', ...outputText(output)])]
      : outputs.map((output): Line => outputText({ owner: answer.owner, rules: answer.rules, ...output }))),
    ...answer.trace.map(
      ({ seat, label, place, failed, along }) =>
        `  ${seat} ${place} "${label}": ${along === undefined ? (failed ?? 'matches') : `takes ${basename(along)}, and this is the same physical device`}`,
    ),
    ...answer.withheld.map(({ device, reason }) => `  ${device} does not come along: ${reason}`),
    ...answer.left.map((one) => `  ${leftText(one)}`),
  ];
}
