import { Observable } from 'rxjs';
import type { WebSocket } from 'ws';
import { runs } from '../process.js';
import type { EventStream, Word } from './stream.js';

/**
 * The events of a daemon on a unix socket that tells them by websocket alone, as `httpStream` otherwise. Incus wants to know
 * every 10 s whether it is still listened to, which is answered by the library and is no word.
 */
export const websocketStream = (daemon: string, socketPath: string, path: string): EventStream => ({
  place: socketPath,
  words: new Observable<Word>((subscriber) => {
    if (!runs(daemon)) {
      subscriber.error(new Error(`${daemon} does not run`));
      return;
    }
    let socket: WebSocket | undefined;
    const open = async (): Promise<void> => {
      const { WebSocket } = await import('ws');
      if (subscriber.closed) return;
      // Nothing is compressed between neighbours, and what is longer than any event is nonsense.
      socket = new WebSocket(`ws+unix:${socketPath}:${path}`, { perMessageDeflate: false, maxPayload: 1 << 20 });
      socket.on('open', () => subscriber.next('listening'));
      socket.on('message', () => subscriber.next('word'));
      socket.on('error', (error) => subscriber.error(error));
      socket.on('close', () => subscriber.error(new Error(`${daemon} ended it`)));
    };
    open().catch((error: unknown) => subscriber.error(error));
    return () => socket?.terminate();
  }),
});
