import type { ExitCode, Verb } from './verb.js';

/** `hotseat release`: the first step of an uninstallation. */
export const release: Verb = {
  summary: 'give everything back to the host, as if there were no agent; stop the agent first',
  usage: 'release',
  options: {},
  examples: [{ line: 'release', help: 'after systemctl stop hotseat: devices, consoles and containers are as before' }],
  run: async (): Promise<ExitCode> => {
    if (process.getuid?.() !== 0) throw new Error('giving devices back needs root: run it as root');
    const { release: giveBack } = await import('../release.js');
    const failed = await giveBack();
    for (const line of failed) console.error(`hotseat release: ${line}`);
    return failed.length > 0 ? 2 : 0;
  },
};
