import { closeSync, fstatSync } from 'node:fs';
import { join } from 'node:path';
import { Observable } from 'rxjs';
import { CalmWatch } from '../../kernel/calm-watch.js';
import { openWithin } from '../../kernel/fs.js';
import { openLocal } from '../../kernel/local.js';
import type { EventStream, Word } from './stream.js';

/**
 * Events that are appended to a file (which may be put aside for a new one) in a directory of an ordinary user's: `path`
 * below `base`, which is the root of a file system that the system mounted. It is watched, and never read. A watch ends
 * with its directory, and nobody tells: looked for every `lookEvery` ms.
 */
export const fileStream = (base: string, path: string, name: string, lookEvery = 30_000): EventStream => ({
  place: join(base, path, name),
  words: new Observable<Word>((subscriber) => {
    const watched = open(base, path);
    subscriber.add(() => closeSync(watched));
    const listen = (): CalmWatch =>
      new CalmWatch(`/proc/self/fd/${watched}`, {
        heard: (changed) => {
          if (changed === name) subscriber.next('word');
        },
        rested: again,
        failed: (error) => subscriber.error(error),
      });
    const again = (): void => {
      try {
        watcher = listen();
        subscriber.next('word');
      } catch (error) {
        subscriber.error(error);
      }
    };
    let watcher = listen();
    subscriber.add(() => watcher.close());
    const look = setInterval(() => {
      try {
        const now = open(base, path);
        const same = fstatSync(now).ino === fstatSync(watched).ino;
        closeSync(now);
        if (!same) subscriber.error(new Error('its directory was replaced'));
      } catch (error) {
        subscriber.error(error);
      }
    }, lookEvery).unref();
    subscriber.add(() => clearInterval(look));
    subscriber.next('listening');
  }),
});

function open(base: string, path: string): number {
  // Its owner may have mounted a file system there that does not answer, over the system's own.
  const root = openLocal(base);
  try {
    return openWithin(root, path);
  } finally {
    closeSync(root);
  }
}
