import type { Call, ExitCode, Verb } from './verb.js';

export const defaultPolicies = '/etc/hotseat/policies';

/** `hotseat run`: the daemon itself, in the foreground; systemd starts it. */
export const start: Verb = {
  summary: 'the daemon, in the foreground',
  usage: 'run [--policies DIRECTORY] [--log-level LEVEL]',
  options: {
    policies: { type: 'string', help: `directory with the seat files (${defaultPolicies})` },
    'log-level': { type: 'string', help: 'trace, debug, info, warn, error or fatal (info)' },
  },
  run: async ({ options }: Call): Promise<ExitCode> => {
    if (process.getuid?.() !== 0) throw new Error('the daemon needs root');
    // Loaded here, so that no other verb pays for the daemon.
    const { run } = await import('../main.js');
    await run({
      policies: String(options['policies'] ?? defaultPolicies),
      logLevel: String(options['log-level'] ?? 'info'),
    });
    return 0;
  },
};
