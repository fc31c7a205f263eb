import type { ProgramName } from './body.js';

const main = ['--max-semi-space-size=2'] as const;

/**
 * V8's options for each program: its form of the code is good for the same options alone. The agent's young objects get 2 MB
 * where V8 would take up to 48: enough for a burst, and at rest the agent needs 8 MB less.
 */
export const options: Readonly<Record<ProgramName, readonly string[]>> = {
  ...{ main, verbs: main },
  ...{ helper: [], 'udev-child': [], holder: [] },
};
