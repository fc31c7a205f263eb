import { type ProgramName, programOf, scriptOf } from './body.js';
import { heavy } from './heavy.js';

/** Filled in for each program (rules/bundle.ts). */
declare const PROGRAM: ProgramName;

const directory = import.meta.dirname;
const name = PROGRAM === 'main' && !heavy.has(process.argv[2] ?? '') ? 'verbs' : PROGRAM;
void programOf(scriptOf(directory, name), directory, name).start();
