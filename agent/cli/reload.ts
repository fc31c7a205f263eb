import { ask } from '../control/client.js';
import { controlSocket } from '../seat/layout.js';
import { duration } from './duration.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat reload`: the whole policy or none of it. */
export const reload: Verb = {
  summary: 'read the policy again; a bad one changes nothing',
  usage: 'reload [--force] [--confirm TIME] [--allow-rollback]',
  options: {
    force: { type: 'boolean', help: 'even if the host loses its last keyboard, or a bound device comes into conflict' },
    confirm: { type: 'string', help: 'go back to the policy before it unless hotseat confirm comes in time: 30s, 10m' },
    'allow-rollback': {
      type: 'boolean',
      help: 'with signed policies: take a commit even if it does not descend from the one confirmed last (root)',
    },
  },
  examples: [
    { line: 'reload', help: 'after a change of the seat files' },
    { line: 'reload --confirm 30s', help: 'on trial: the former policy is back unless hotseat confirm comes in time' },
    { line: 'reload --force', help: "although it takes the host's last keyboard" },
  ],
  run: async ({ options }: Call): Promise<ExitCode> => {
    const { confirm } = options;
    const confirmMs = typeof confirm === 'string' ? duration('confirm', confirm) : undefined;
    const allowRollback = options['allow-rollback'] === true;
    const request = { verb: 'reload', force: options['force'] === true, confirmMs, allowRollback } as const;
    const { revision } = await ask(controlSocket, request, 60_000);
    const trial = confirmMs === undefined ? '' : `, for ${String(confirm)} unless you say hotseat confirm`;
    console.log(`policy ${revision} is active${trial}`);
    return 0;
  },
};
