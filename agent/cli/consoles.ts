import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat consoles`: what two units of systemd run, at a boot and once the agent has stopped for good; and the way back in. */
export const consoles: Verb = {
  summary: "mute the host's text consoles until an agent comes, or give them their keyboards back",
  usage: 'consoles mute | consoles restore [--agents-only]',
  options: {
    'agents-only': { type: 'boolean', help: 'leave muted what a boot has muted, when no agent has run since' },
  },
  choices: ['mute', 'restore'],
  examples: [
    { line: 'consoles mute', help: 'what systemd runs at a boot, before the first login prompt' },
    { line: 'consoles restore', help: 'the way back in where no agent runs' },
    { line: 'consoles restore --agents-only', help: 'what systemd runs once the agent has been stopped' },
  ],
  run: async ({ words, options }: Call): Promise<ExitCode> => {
    const [word] = words;
    if (word !== 'mute' && word !== 'restore') throw new Error('consoles takes one word: mute or restore');
    const { muteAtBoot, restoreConsoles } = await import('../host/consoles.js');
    if (word === 'mute') muteAtBoot();
    else restoreConsoles(undefined, { agentsOnly: options['agents-only'] === true });
    return 0;
  },
};
