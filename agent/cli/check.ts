import { formatDiagnostic } from '../policy/diagnostics.js';
import { printable } from './printable.js';
import { defaultPolicies } from './run.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat check`: needs no running agent. */
export const check: Verb = {
  summary: 'say everything that is wrong with the seat files in a directory',
  usage: 'check [DIRECTORY]',
  options: {},
  run: async ({ words }: Call): Promise<ExitCode> => {
    const { loadDirectory } = await import('../policy/load.js');
    const loaded = loadDirectory(words[0] ?? defaultPolicies);
    if (!loaded.ok) {
      for (const diagnostic of loaded.diagnostics) console.error(printable(formatDiagnostic(diagnostic)));
      return 1;
    }
    const seats = loaded.policy.seats.map(({ seat }) => seat);
    console.log(seats.length === 0 ? 'no seats: everything stays on the host' : `fine: ${seats.join(', ')}`);
    return 0;
  },
};
