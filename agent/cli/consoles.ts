import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat consoles restore`: the way back in, run by a unit of its own when the agent has stopped for good. */
export const consoles: Verb = {
  summary: "give the host's text consoles their keyboard mode back",
  usage: 'consoles restore',
  options: {},
  choices: ['restore'],
  examples: [{ line: 'consoles restore', help: 'what systemd runs once the agent has been stopped' }],
  run: async ({ words }: Call): Promise<ExitCode> => {
    if (words[0] !== 'restore') throw new Error('consoles takes one word: restore');
    const { restoreConsoles } = await import('../host/consoles.js');
    restoreConsoles();
    return 0;
  },
};
