import { ask } from '../control/client.js';
import { controlSocket } from '../seat/layout.js';
import { json, print } from './answer.js';
import { stateWord } from './status.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat seats`: one line a seat. */
export const seats: Verb = {
  summary: 'list the seats, their containers and how many devices each has',
  usage: 'seats [--json]',
  options: json,
  examples: [{ line: 'seats --json', help: 'for a script' }],
  run: async (call: Call): Promise<ExitCode> => {
    const { seats: answer } = await ask(controlSocket, { verb: 'status' }, 10_000);
    print(call, answer, (all) =>
      all.map(({ seat, engine, container, state, devices }) => [
        `${seat.padEnd(12)} ${engine} ${container}, `,
        stateWord(state),
        `, devices: ${devices.length}`,
      ]),
    );
    return 0;
  },
};
