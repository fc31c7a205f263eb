import { ask } from '../control/client.js';
import { writeNew } from '../policy/write.js';
import { controlSocket } from '../seat/layout.js';
import { asciiJson } from './printable.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat record`: the agent's facts about a device, in the form that tests of policies take. */
export const record: Verb = {
  summary: 'write a device as a file, for tests of policies and reports of bugs; mask private strings',
  usage: 'record DEVICE [--out FILE] [--unmask] [--json]',
  options: {
    out: { type: 'string', help: 'write it to this file, which must not exist yet' },
    unmask: { type: 'boolean', help: 'leave serial numbers and addresses in it' },
    json: { type: 'boolean', help: 'print JSON, which hotseat test reads as well' },
  },
  examples: [
    { line: 'record /dev/input/event3', help: 'on the terminal' },
    {
      line: 'record input7 --out /etc/hotseat/policies/tests/devices/left-keyboard.yaml',
      help: 'beside the policy, for its tests',
    },
  ],
  run: async ({ options, words }: Call): Promise<ExitCode> => {
    const [device] = words;
    if (device === undefined) throw new Error('name the device: hotseat devices lists them');
    const unmask = options['unmask'] === true;
    const fixture = await ask(controlSocket, { verb: 'record', device, unmask }, 10_000);
    const { formatFixture } = await import('../policy/fixture.js');
    const text = options['json'] === true ? `${asciiJson(fixture, 2)}\n` : formatFixture(fixture);
    const { out } = options;
    if (typeof out === 'string') {
      writeNew(out, text);
      console.log(`${out} is written${unmask ? ', with its private strings' : ''}`);
    } else process.stdout.write(text);
    return 0;
  },
};
