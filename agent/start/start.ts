import { type ProgramName, programOf, scriptOf } from './body.js';

/** Filled in for each program (rules/bundle.ts). */
declare const PROGRAM: ProgramName;

const directory = import.meta.dirname;
void programOf(scriptOf(directory, PROGRAM), directory, PROGRAM).start();
