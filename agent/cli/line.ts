import { styleText } from 'node:util';
import { printable } from './printable.js';

const tones = { good: 'green', bad: 'red', soon: 'yellow' } as const;

/** A word of ours for a state. The name of a device or a file is never such a word. */
export interface Toned {
  readonly text: string;
  readonly tone: keyof typeof tones;
}

/** A line for people. */
export type Line = string | readonly (string | Toned)[];

export const good = (text: string): Toned => ({ text, tone: 'good' });
export const bad = (text: string): Toned => ({ text, tone: 'bad' });
export const soon = (text: string): Toned => ({ text, tone: 'soon' });

/** A line as it is written: control characters shown, colours only where they are wanted. */
export const render = (line: Line, colours: boolean): string =>
  (typeof line === 'string' ? [line] : line)
    .map((part) => {
      if (typeof part === 'string') return printable(part);
      return colours
        ? styleText(tones[part.tone], printable(part.text), { validateStream: false })
        : printable(part.text);
    })
    .join('');

/** Whether a stream is a terminal that shows colours; NO_COLOR and TERM=dumb say that it is none (tty, getColorDepth). */
export const showsColours = (stream: NodeJS.WriteStream): boolean => stream.isTTY === true && stream.hasColors();
