import { release } from 'node:os';
import type { Diagnostic } from '../core/policy.js';
import { formatDiagnostic } from '../policy/diagnostics.js';
import { json } from './answer.js';
import { good, type Line, render, showsColours } from './line.js';
import { printable } from './printable.js';
import { defaultPolicies } from './run.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** The findings of `hotseat check`. */
export type CheckAnswer =
  | {
      /** The files are good. */
      readonly ok: true;
      /** The names of the seats that this PC has by these files. */
      readonly seats: readonly string[];
      /** Sentences that are worth reading, and no mistakes. */
      readonly notes: readonly string[];
    }
  | {
      /** The files have mistakes. */
      readonly ok: false;
      /** All mistakes. */
      readonly diagnostics: readonly Diagnostic[];
    };

/** `hotseat check`: needs no running agent. */
export const check: Verb = {
  summary: 'find all mistakes in the seat files of a directory',
  usage: 'check [DIRECTORY] [--json]',
  options: json,
  examples: [
    { line: 'check', help: 'the files that the agent would read' },
    { line: 'check ./policies', help: 'a work tree, before it is committed' },
  ],
  run: async ({ options, words }: Call): Promise<ExitCode> => {
    const { loadDirectory } = await import('../policy/load.js');
    const { leftNotes, notesOf, refusedHere } = await import('../policy/notes.js');
    const { recordedDevices } = await import('../policy/recorded.js');
    const directory = words[0] ?? defaultPolicies;
    const read = loadDirectory(directory);
    const refused = read.ok ? refusedHere(read.policy, release()) : [];
    const loaded = refused.length === 0 ? read : { ok: false as const, diagnostics: refused };
    const notes = loaded.ok ? [...notesOf(loaded.policy), ...leftNotes(loaded.policy, recordedDevices(directory))] : [];
    if (options['json'] === true) {
      const answer: CheckAnswer = loaded.ok
        ? { ok: true, seats: loaded.policy.seats.map(({ seat }) => seat), notes }
        : { ok: false, diagnostics: loaded.diagnostics };
      console.log(JSON.stringify(answer, undefined, 2));
      return loaded.ok ? 0 : 1;
    }
    if (!loaded.ok) {
      for (const diagnostic of loaded.diagnostics) console.error(printable(formatDiagnostic(diagnostic)));
      return 1;
    }
    const seats = loaded.policy.seats.map(({ seat }) => seat);
    const line: Line =
      seats.length === 0 ? 'no seats: everything stays on the host' : [good('fine'), `: ${seats.join(', ')}`];
    console.log(render(line, showsColours(process.stdout)));
    for (const note of notes) console.log(printable(note));
    return 0;
  },
};
