import { follow } from '../control/client.js';
import type { Happened } from '../control/messages.js';
import { controlSocket } from '../seat/layout.js';
import { json } from './answer.js';
import { endsBySignal } from './ends-by-signal.js';
import { asciiJson, printable } from './printable.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat watch`: all events from now on, a line each, until it is interrupted or the agent stops. */
export const watch: Verb = {
  summary: 'print events as they happen: devices, containers, policies',
  usage: 'watch [--json]',
  options: json,
  examples: [
    { line: 'watch', help: 'until it is interrupted' },
    { line: `watch --json | jq -r 'select(.kind == "bound") | .device'`, help: 'each node that a seat gets' },
  ],
  run: async ({ options }: Call): Promise<ExitCode> => {
    const stop = endsBySignal();
    await follow(controlSocket, { verb: 'watch' }, stop.signal, (item) => {
      const happened = item as Happened;
      console.log(options['json'] === true ? asciiJson(happened) : printable(lineOf(happened)));
    });
    if (stop.signal.aborted) return 0;
    console.error('hotseat: the agent has stopped');
    return 2;
  },
};

function lineOf(happened: Happened): string {
  const words = wordsOf(happened);
  return `${happened.time.slice(11, 23)}  ${words}`;
}

function wordsOf(happened: Happened): string {
  switch (happened.kind) {
    case 'bound':
    case 'unbound': {
      const { kind, seat, container, device, rule } = happened;
      return `${kind.padEnd(9)} ${device}  ${seat}${container === undefined ? '' : ` (${container})`}  ${rule}`;
    }
    case 'container':
      return `container ${happened.container} of ${happened.seat} ${happened.state}`;
    case 'outputs':
      return `outputs   ${happened.outputs.join(', ')} of ${happened.device}  ${happened.seat} ${happened.state}`;
    case 'conflict':
      return `conflict  ${happened.device}  ${happened.rules.join(', ')}`;
    case 'policy':
      return `policy    ${happened.revision}: ${happened.seats.join(', ') || 'no seats'}`;
    case 'refused':
      return `refused   ${happened.reasons.join('; ')}`;
    default:
      return happened satisfies never;
  }
}
