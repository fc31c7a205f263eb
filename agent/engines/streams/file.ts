import { type Stats, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { Observable } from 'rxjs';
import type { EventStream, Word } from './stream.js';

/** A watch ends with its directory, and nobody tells: looked for this often, ms. */
const lookEvery = 30_000;

/**
 * Events that are appended to a file in a directory (which may be put aside for a new one). It may be an ordinary user's:
 * it is never opened.
 */
export const fileStream = (directory: string, name: string): EventStream => ({
  place: join(directory, name),
  words: new Observable<Word>((subscriber) => {
    const same = (a: Stats | undefined, b: Stats | undefined) => a?.ino === b?.ino && a?.dev === b?.dev;
    const watched = statSync(directory);
    const watcher = watch(directory, { persistent: false }, (_event, changed) => {
      if (changed === name) subscriber.next('word');
    });
    watcher.on('error', (error) => subscriber.error(error));
    const look = setInterval(() => {
      const now = statSync(directory, { throwIfNoEntry: false });
      if (!same(watched, now)) subscriber.error(new Error(`${directory} is gone`));
    }, lookEvery).unref();
    subscriber.next('listening');
    return () => {
      clearInterval(look);
      watcher.close();
    };
  }),
});
