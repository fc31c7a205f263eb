import { type Line, render, showsColours } from './line.js';
import { asciiJson } from './printable.js';
import type { Call, Verb } from './verb.js';

/** The option of every verb that answers something. */
export const json: Verb['options'] = { json: { type: 'boolean', help: 'print JSON, for scripts' } };

/** Prints an answer of the agent: whole for machines when asked to, otherwise in lines for people. */
export function print<T>({ options }: Call, answer: T, lines: (answer: T) => readonly Line[]): void {
  if (options['json'] === true) console.log(asciiJson(answer, 2));
  else for (const line of lines(answer)) console.log(render(line, showsColours(process.stdout)));
}
