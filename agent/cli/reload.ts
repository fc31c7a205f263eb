import { ask } from '../control/client.js';
import { controlSocket } from '../seat/layout.js';
import type { ExitCode, Verb } from './verb.js';

/** `hotseat reload`: the whole policy or none of it. */
export const reload: Verb = {
  summary: 'read the policy again; a bad one changes nothing',
  usage: 'reload',
  options: {},
  run: async (): Promise<ExitCode> => {
    const { revision } = (await ask(controlSocket, { verb: 'reload' }, 60_000)) as { revision: string };
    console.log(`policy ${revision} is active`);
    return 0;
  },
};
