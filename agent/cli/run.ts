import type { Call, ExitCode, Verb } from './verb.js';

export const defaultPolicies = '/etc/hotseat/policies';

/** `hotseat run`: the daemon itself, in the foreground; systemd starts it. */
export const start: Verb = {
  summary: 'run the daemon in the foreground',
  usage: 'run [--policies DIRECTORY] [--ref REF [--signers FILE]] [--log-level LEVEL]',
  options: {
    policies: { type: 'string', help: `directory with the seat files (${defaultPolicies})` },
    ref: { type: 'string', help: 'the directory is a git repository: take this ref of it, such as refs/heads/main' },
    signers: { type: 'string', help: 'take only commits signed by a key in this file (ssh-keygen, ALLOWED SIGNERS)' },
    'log-level': { type: 'string', help: 'trace, debug, info, warn, error or fatal (info)' },
  },
  examples: [
    { line: 'run --ref refs/heads/main', help: `the commits on main of ${defaultPolicies}` },
    { line: 'run --policies ./policies --log-level debug', help: 'a directory, to try something' },
  ],
  run: async ({ options }: Call): Promise<ExitCode> => {
    if (process.getuid?.() !== 0) throw new Error('the daemon needs root: run it as root');
    // Loaded here, so that no other verb pays for the daemon.
    const { ref, signers } = options;
    if (signers !== undefined && ref === undefined)
      throw new Error('--signers needs --ref: commits are signed, files are not');
    const { run } = await import('../main.js');
    await run({
      policies: String(options['policies'] ?? defaultPolicies),
      ref: ref === undefined ? undefined : String(ref),
      signers: signers === undefined ? undefined : String(signers),
      logLevel: String(options['log-level'] ?? 'info'),
    });
    // Not even for what never answers, such as a repository that somebody serves himself.
    process.exit(0);
  },
};
