import { check } from './check.js';
import { consoles } from './consoles.js';
import { reload } from './reload.js';
import { start } from './run.js';
import { status } from './status.js';
import type { Verb } from './verb.js';
import { wait } from './wait.js';

/** The table of verbs: the command line, its help and its completion come from it. */
export const verbs: Readonly<Record<string, Verb>> = { run: start, status, reload, check, wait, consoles };
