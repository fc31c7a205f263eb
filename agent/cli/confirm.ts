import { ask } from '../control/client.js';
import { controlSocket } from '../seat/layout.js';
import type { ExitCode, Verb } from './verb.js';

/** `hotseat confirm`: the policy that was taken on trial stays. */
export const confirm: Verb = {
  summary: 'keep the policy that reload --confirm has taken on trial',
  usage: 'confirm',
  options: {},
  examples: [{ line: 'confirm', help: 'after reload --confirm 30s, when keyboards still work' }],
  run: async (): Promise<ExitCode> => {
    const { revision } = await ask(controlSocket, { verb: 'confirm' }, 10_000);
    console.log(`policy ${revision} stays`);
    return 0;
  },
};
