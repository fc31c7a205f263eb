import { spawn } from 'node:child_process';
import { Observable } from 'rxjs';
import { programPath } from '../programs.js';
import type { EventStream, Word } from './stream.js';

/** Limit of the text that is kept of a program's errors, characters. */
const lastWords = 300;

/** A program that says nothing and has lived this long listens, ms. A program that cannot listen ends at once. */
const settled = 1000;

/** The events that a program prints until it is told to stop. It dies with the agent, however that dies (setpriv(1)). */
export const programStream = (program: string, ...words: readonly string[]): EventStream => ({
  place: [program, ...words].join(' '),
  words: new Observable<Word>((subscriber) => {
    const path = programPath(program);
    if (path === undefined) {
      subscriber.error(new Error(`${program} is not installed`));
      return;
    }
    const child = spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', '--', path, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    });
    child.on('error', (error) => subscriber.error(error));
    // A program that could not be started has no pid, and no pipes.
    if (child.pid === undefined) return;
    let listening: NodeJS.Timeout | undefined = setTimeout(() => isUp(), settled).unref();
    const isUp = (): void => {
      if (listening === undefined) return;
      clearTimeout(listening);
      listening = undefined;
      subscriber.next('listening');
    };
    let complaint = '';
    child.stdout.on('data', () => {
      isUp();
      subscriber.next('word');
    });
    child.stderr.on('data', (said: Buffer) => {
      complaint = `${complaint}${said}`.slice(-lastWords);
    });
    child.on('close', (code, signal) => {
      const why = complaint.trim().replace(/\s+/g, ' ');
      subscriber.error(new Error(`${program} ended (${code ?? signal})${why === '' ? '' : `: ${why}`}`));
    });
    return () => {
      clearTimeout(listening);
      child.kill('SIGKILL');
    };
  }),
});

/** New lines of the journal with one of these fields, `FIELD=value` (journalctl(1)). */
export const journalStream = (...matches: readonly string[]): EventStream =>
  programStream('journalctl', '--follow', '--lines=0', '--quiet', '--output=cat', ...matches);
