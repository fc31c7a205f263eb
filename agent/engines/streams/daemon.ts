import { Observable, type Subscriber } from 'rxjs';
import { runs } from '../process.js';
import type { EventStream, Word } from './stream.js';

/** Begins to listen, given what to tell and on which socket; returns how to hang up. */
type Open = (subscriber: Subscriber<Word>, socketPath: string) => () => void;

/**
 * The events of a daemon on a unix socket. `daemon`: its program's name. It is called only while it runs: connecting to
 * a socket that systemd listens on for it (systemd.socket(5)) would start it. `load`: loads the client, only where
 * there is such a daemon.
 */
export const daemonStream = (daemon: string, socketPath: string, load: () => Promise<Open>): EventStream => ({
  place: socketPath,
  words: new Observable<Word>((subscriber) => {
    if (!runs(daemon)) {
      subscriber.error(new Error(`${daemon} does not run`));
      return;
    }
    load()
      .then((open) => {
        if (!subscriber.closed) subscriber.add(open(subscriber, socketPath));
      })
      .catch((error: unknown) => subscriber.error(error));
  }),
});
