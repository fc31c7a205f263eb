import { ask } from '../control/client.js';
import { controlSocket } from '../seat/layout.js';
import { json, print } from './answer.js';
import { deviceTree } from './device-tree.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat devices`: needs the running agent, because only the agent knows the seat of a device. */
export const devices: Verb = {
  summary: 'list every device by hub and port, with its kind and its owner',
  usage: 'devices [--json]',
  options: json,
  examples: [{ line: 'devices', help: 'which device is whose, and at which port of which hub it is' }],
  run: async (call: Call): Promise<ExitCode> => {
    const answer = await ask(controlSocket, { verb: 'devices' }, 10_000);
    // Loaded here, so that no other verb pays for it.
    const { usbThings } = await import('../usb/topology.js');
    const things = call.options['json'] === true ? [] : await usbThings();
    print(call, answer, (infos) => deviceTree(infos, things));
    return 0;
  },
};
