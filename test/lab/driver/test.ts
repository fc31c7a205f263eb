// uvu's `test`, which says of each test how long it took, and while it runs that it does.

import { test as uvu } from 'uvu';
import { nowRunning } from './waiting.js';

type Body = () => Promise<void> | void;

function add(name: string, body: Body): void {
  uvu(name, async () => {
    nowRunning(name);
    const started = Date.now();
    let verdict = 'FAIL';
    try {
      await body();
      verdict = 'ok  ';
    } finally {
      nowRunning(undefined);
      console.log(`  ${verdict} ${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s  ${name}`);
    }
  });
}

export const test = Object.assign(add, {
  before: (body: Body): void => {
    uvu.before(body);
  },
  after: (body: Body): void => {
    uvu.after(body);
  },
  run: (): void => {
    uvu.run();
  },
});
