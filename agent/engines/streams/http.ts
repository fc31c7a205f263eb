import type { ClientRequest } from 'node:http';
import { Observable } from 'rxjs';
import { runs } from '../process.js';
import type { EventStream, Word } from './stream.js';

/**
 * The events of a daemon that answers HTTP on a unix socket, one answer without an end. `daemon`: its program's name. It is
 * asked only while it runs: connecting to a socket that systemd listens on for it (systemd.socket(5)) would start it.
 */
export const httpStream = (daemon: string, socketPath: string, path: string): EventStream => ({
  place: socketPath,
  words: new Observable<Word>((subscriber) => {
    if (!runs(daemon)) {
      subscriber.error(new Error(`${daemon} does not run`));
      return;
    }
    let request: ClientRequest | undefined;
    const open = async (): Promise<void> => {
      // Only where it is needed: Node compiles some twenty modules of its own for it.
      const { get } = await import('node:http');
      if (subscriber.closed) return;
      request = get({ socketPath, path, agent: false, headers: { host: 'localhost' } }, (answer) => {
        if (answer.statusCode !== 200) {
          subscriber.error(new Error(`${socketPath} answers ${answer.statusCode} to ${path}`));
          return;
        }
        subscriber.next('listening');
        answer.on('data', () => subscriber.next('word'));
        answer.on('error', (error) => subscriber.error(error));
        answer.on('close', () => subscriber.error(new Error(`${daemon} ended it`)));
      });
      request.on('error', (error) => subscriber.error(error));
    };
    open().catch((error: unknown) => subscriber.error(error));
    return () => request?.destroy();
  }),
});
