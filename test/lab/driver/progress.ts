// One line a step: how long since the start, how long the step took.

import { waitingFor } from './waiting.js';

const born = Date.now();
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)}s`;

export function say(text: string): void {
  process.stderr.write(`[${seconds(Date.now() - born).padStart(7)}] ${text}\n`);
}

/** Runs `work`, says when it is done; every 10 s (on a terminal: every second) says that it still runs. */
export async function step<T>(name: string, work: (note: (text: string) => void) => Promise<T>): Promise<T> {
  const start = Date.now();
  const tty = process.stderr.isTTY === true;
  let note = '';
  const line = () => `${name} … ${seconds(Date.now() - start)}${note ? `  ${note}` : ''}`;
  const timer = setInterval(
    () => {
      if (tty) process.stderr.write(`\r\x1b[K[${seconds(Date.now() - born).padStart(7)}] ${line().slice(0, 100)}`);
      else say(line());
    },
    tty ? 1000 : 10_000,
  );
  try {
    const result = await waitingFor(
      name,
      work((text) => {
        note = text;
      }),
    );
    if (tty) process.stderr.write('\r\x1b[K');
    say(`${name}: ${seconds(Date.now() - start)}`);
    return result;
  } catch (error) {
    if (tty) process.stderr.write('\r\x1b[K');
    say(`${name}: FAILED after ${seconds(Date.now() - start)}`);
    throw error;
  } finally {
    clearInterval(timer);
  }
}
