import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat consoles restore`: the way back in, run by a unit of its own when the agent has stopped for good. */
export const consoles: Verb = {
  summary: "give the host's text consoles their keyboard mode back",
  usage: 'consoles restore [--agents-only]',
  options: {
    'agents-only': { type: 'boolean', help: 'leave consoles muted that the boot has muted, if no agent has run since' },
  },
  choices: ['restore'],
  examples: [
    { line: 'consoles restore', help: 'the way back in where no agent runs' },
    { line: 'consoles restore --agents-only', help: 'systemd runs this after the agent has stopped' },
  ],
  run: async ({ words, options }: Call): Promise<ExitCode> => {
    if (words[0] !== 'restore') throw new Error('consoles takes one word: restore');
    const { restoreConsoles } = await import('../host/consoles.js');
    restoreConsoles(undefined, { agentsOnly: options['agents-only'] === true });
    return 0;
  },
};
