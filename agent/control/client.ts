import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { ControlError } from './error.js';
import type { Request, Response } from './messages.js';

/** Sends one request to the agent and returns its answer. `timeoutMs` bounds the whole exchange. */
export function ask(path: string, request: Request, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    let answer = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new ControlError(`the agent did not answer within ${timeoutMs} ms`));
    }, timeoutMs);
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('error', (error: NodeJS.ErrnoException) => reject(new ControlError(explain(path, error))));
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new ControlError('the agent closed the connection without an answer'));
    });
    socket.on('data', (chunk: string) => {
      answer += chunk;
      if (!answer.includes('\n')) return;
      const response = JSON.parse(answer) as Response;
      if (response.ok) resolve(response.result);
      else reject(new ControlError(response.error, response.details));
      clearTimeout(timer);
      socket.destroy();
    });
  });
}

/**
 * Sends one request and hands over every answer to it, until the agent ends them or `stop` is aborted. Rejects when the
 * agent cannot be reached or refuses.
 */
export function follow(
  path: string,
  request: Request,
  stop: AbortSignal,
  take: (result: unknown) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    stop.addEventListener('abort', () => socket.destroy(), { once: true });
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('error', (error: NodeJS.ErrnoException) => reject(new ControlError(explain(path, error))));
    socket.on('close', () => resolve());
    createInterface({ input: socket })
      // Its own copy of the socket's error; that one has been told of.
      .on('error', () => undefined)
      .on('line', (line) => {
        const response = JSON.parse(line) as Response;
        if (response.ok) take(response.result);
        else {
          reject(new ControlError(response.error, response.details));
          socket.destroy();
        }
      });
  });
}

function explain(path: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return `the agent is not running (nobody listens on ${path}): systemctl start hotseat`;
    case 'EACCES':
      return `no permission to talk to the agent on ${path}: run as root`;
    default:
      return `cannot reach the agent on ${path}: ${error.message}`;
  }
}
