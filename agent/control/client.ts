import { createConnection } from 'node:net';
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

function explain(path: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return `the agent is not running (nobody listens on ${path}): systemctl start hotseat`;
    case 'EACCES':
      return `no permission to talk to the agent on ${path}: run as root, or as a member of the socket's group`;
    default:
      return `cannot reach the agent on ${path}: ${error.message}`;
  }
}
