import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { madeOnce } from '../lab/driver/made-once.js';

const scratch = mkdtempSync(join(tmpdir(), 'hotseat-made-once-'));

test('of several who need it at a time one makes it, and the others have it', async () => {
  const dir = join(scratch, 'several');
  let made = 0;
  const make = async (): Promise<void> => {
    made += 1;
    await new Promise((resolve) => setTimeout(resolve, 100));
    mkdirSync(dir);
  };
  await Promise.all([1, 2, 3].map(() => madeOnce(dir, make)));
  assert.is(made, 1);
});

test('when making it fails, the next one tries', async () => {
  const dir = join(scratch, 'second');
  // The second comes while the first makes it: of two that begin at once, either may be the first.
  let began = (): void => {};
  let fail = (): void => {};
  const making = new Promise<void>((resolve) => {
    began = resolve;
  });
  const fails = madeOnce(dir, async () => {
    began();
    await new Promise<void>((resolve) => {
      fail = resolve;
    });
    throw new Error('no space');
  });
  await making;
  const makes = madeOnce(dir, async () => mkdirSync(dir));
  fail();
  await fails.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'no space'),
  );
  await makes;
});

test('one that died while it made it holds nobody up', async () => {
  const dir = join(scratch, 'died');
  writeFileSync(`${dir}.lock`, '4194305'); // above the greatest number of a process (proc(5), pid_max)
  await madeOnce(dir, async () => mkdirSync(dir));
});

test.after(() => rmSync(scratch, { recursive: true, force: true }));
test.run();
