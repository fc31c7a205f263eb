import { daemonStream } from './daemon.js';
import type { EventStream } from './stream.js';

/**
 * The events of a daemon that tells them by websocket alone. Incus wants to know every 10 s whether it is still listened to,
 * which is answered by the library and is no word.
 */
export const websocketStream = (daemon: string, socket: string, path: string): EventStream =>
  daemonStream(daemon, socket, async () => {
    const { WebSocket } = await import('ws');
    return (subscriber, socketPath) => {
      // Nothing is compressed between neighbours, and a text that is longer than any event is nonsense.
      const client = new WebSocket(`ws+unix:${socketPath}:${path}`, { perMessageDeflate: false, maxPayload: 1 << 20 });
      client.on('open', () => subscriber.next('listening'));
      client.on('message', () => subscriber.next('word'));
      client.on('error', (error) => subscriber.error(error));
      client.on('close', () => subscriber.error(new Error(`${daemon} ended it`)));
      return () => client.terminate();
    };
  });
