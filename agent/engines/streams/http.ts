import { daemonStream } from './daemon.js';
import type { EventStream } from './stream.js';

/** The events of a daemon that answers HTTP, one answer without an end. */
export const httpStream = (daemon: string, socket: string, path: string): EventStream =>
  daemonStream(daemon, socket, async () => {
    const { get } = await import('node:http');
    return (subscriber, socketPath) => {
      const request = get({ socketPath, path, agent: false, headers: { host: 'localhost' } }, (answer) => {
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
      return () => request.destroy();
    };
  });
