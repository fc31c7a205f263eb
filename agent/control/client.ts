import { createConnection, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlError, type RefusalCode } from '../core/refusal.js';
import type { Answerable, Answers, Refused, Request, Response } from './messages.js';
import { rootSocketOf } from './places.js';

/** While many others wait to be let in, it is tried again after this, ms, and then after twice as long each time. */
const retry = { first: 10, longest: 200 };
/** Longest that somebody waits to be let in who then listens without end, ms. */
const patienceMs = 10_000;

/** Sends one request to the agent and returns its answer. `timeoutMs` bounds the whole exchange. */
export async function ask<R extends Answerable>(
  path: string,
  request: R,
  timeoutMs: number,
): Promise<Answers[R['verb']]> {
  const end = performance.now() + timeoutMs;
  const socket = await dial(path, timeoutMs);
  return new Promise((resolve, reject) => {
    let answer = '';
    const timer = setTimeout(
      () => {
        socket.destroy();
        reject(new ControlError('agent-silent', `the agent did not answer within ${timeoutMs} ms`));
      },
      Math.max(0, end - performance.now()),
    );
    socket.setEncoding('utf8');
    socket.on('error', (error: NodeJS.ErrnoException) => reject(notReached(path, error)));
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new ControlError('agent-silent', 'the agent closed the connection without an answer'));
    });
    socket.on('data', (chunk: string) => {
      answer += chunk;
      if (!answer.includes('\n')) return;
      const response = JSON.parse(answer) as Response;
      if (response.ok) resolve(response.result as Answers[R['verb']]);
      else reject(refusedBy(response));
      clearTimeout(timer);
      socket.destroy();
    });
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

/**
 * Sends one request and hands over every answer to it, until the agent ends them or `stop` is aborted. Rejects when the
 * agent cannot be reached or refuses.
 */
export async function follow(
  path: string,
  request: Request,
  stop: AbortSignal,
  take: (result: unknown) => void,
): Promise<void> {
  const socket = await dial(path, patienceMs, stop);
  if (stop.aborted) {
    socket.destroy();
    return;
  }
  return new Promise((resolve, reject) => {
    stop.addEventListener('abort', () => socket.destroy(), { once: true });
    socket.on('error', (error: NodeJS.ErrnoException) => reject(notReached(path, error)));
    socket.on('close', () => resolve());
    createInterface({ input: socket })
      // Its own copy of the socket's error; that one has been told of.
      .on('error', () => undefined)
      .on('line', (line) => {
        const response = JSON.parse(line) as Response;
        if (response.ok) take(response.result);
        else {
          reject(refusedBy(response));
          socket.destroy();
        }
      });
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

/** Whether an agent listens at a path, or at root's beside it. The remains of a crash do not count. */
export async function listens(path: string): Promise<boolean> {
  for (const place of [rootSocketOf(path), path]) {
    try {
      (await connected(place)).destroy();
      return true;
    } catch (error) {
      // Where there is no room to wait, there is somebody to wait for.
      if (!isAbsent(error)) return true;
    }
  }
  return false;
}

/**
 * A connection to the agent. Root has a socket of its own, and goes to everybody's where there is none: an agent that was
 * not started again since an upgrade. As long as too many others wait to be let in, it is tried again.
 */
async function dial(path: string, timeoutMs: number, stop?: AbortSignal): Promise<Socket> {
  const end = performance.now() + timeoutMs;
  const own = rootSocketOf(path);
  let place = process.geteuid?.() === 0 ? own : path;
  for (let pause = retry.first; ; ) {
    try {
      return await connected(place);
    } catch (error) {
      if (place === own && (isAbsent(error) || isCode(error, 'EACCES'))) place = path;
      else if (!isCode(error, 'EAGAIN') || stop?.aborted === true || performance.now() + pause > end)
        throw notReached(place, error as NodeJS.ErrnoException);
      else {
        // So that not all waiting clients come at the same moment.
        await sleep(pause * (0.5 + Math.random() / 2));
        pause = Math.min(2 * pause, retry.longest);
      }
    }
  }
}

/** Rejects with an error of connect(2); it does not wait for anything. */
function connected(place: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(place);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

const isCode = (error: unknown, ...codes: string[]): boolean =>
  codes.includes((error as NodeJS.ErrnoException).code ?? '');

/** Nobody listens. */
const isAbsent = (error: unknown): boolean => isCode(error, 'ENOENT', 'ECONNREFUSED');

/** An agent of an older version gives no code. */
const refusedBy = ({ code = 'failed', error, details }: Refused): ControlError =>
  new ControlError(code, error, details);

const notReached = (path: string, error: NodeJS.ErrnoException): ControlError =>
  new ControlError(reachCode(error), explain(path, error));

function reachCode({ code }: NodeJS.ErrnoException): RefusalCode {
  if (code === 'EACCES') return 'not-permitted';
  return code === 'EAGAIN' ? 'busy' : 'agent-away';
}

function explain(path: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return `the agent is not running (nobody listens on ${path}): systemctl start hotseat`;
    case 'EACCES':
      return `no permission to talk to the agent on ${path}: run as root`;
    case 'EAGAIN':
      return `too many others wait to be let in by the agent on ${path}: try again, or ask as root`;
    default:
      return `cannot reach the agent on ${path}: ${error.message}`;
  }
}
