import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { priorityOf } from '../../agent/host/journal.js';

const scratch = mkdtempSync(join(tmpdir(), 'hotseat-journal-'));
const url = new URL('../../agent/host/journal.js', import.meta.url).href;

/** Logs a line of each level, one with a child logger's field and one with a newline in it. */
const script = `
import { pino } from 'pino';
const { logStream } = await import(${JSON.stringify(url)});
const log = pino({ level: 'trace', base: null, timestamp: false }, logStream(1, process.env));
for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) log[level](level);
log.child({ seat: 'left' }).warn({ err: new Error('two\\nlines') }, 'child');
`;

/** The lines that such a log writes to a file, which the environment says is the journal or is not. */
function logged(journal: (dev: bigint, ino: bigint) => string | undefined): string[] {
  const file = join(scratch, 'log');
  const fd = openSync(file, 'w');
  const { dev, ino } = fstatSync(fd, { bigint: true });
  const { JOURNAL_STREAM: _none, ...env } = process.env;
  const stream = journal(dev, ino);
  const { status } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: new URL('.', import.meta.url),
    stdio: ['ignore', fd, 'inherit'],
    env: stream === undefined ? env : { ...env, JOURNAL_STREAM: stream },
  });
  closeSync(fd);
  assert.is(status, 0);
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}

test.after(() => rmSync(scratch, { recursive: true }));

test('in the journal each line carries its priority, and is the same JSON without it', () => {
  const plain = logged(() => undefined);
  const lines = logged((dev, ino) => `${dev}:${ino}`);
  assert.equal(
    lines.map((line) => line.slice(0, 3)),
    ['<7>', '<7>', '<6>', '<4>', '<3>', '<2>', '<4>'],
  );
  assert.equal(
    plain.map((line) => (JSON.parse(line) as { msg: string }).msg),
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'child'],
  );
  const withoutStack = (line: string): unknown => ({ ...(JSON.parse(line) as object), err: undefined });
  assert.equal(lines.map((line) => line.slice(3)).map(withoutStack), plain.map(withoutStack));
});

test('a file that is not the journal gets plain JSON, even when something else of ours goes there', () => {
  for (const line of logged((dev, ino) => `${dev}:${ino + 1n}`)) assert.is(line.charAt(0), '{');
});

test('a level between two of pino’s own has the priority of the lower one', () => {
  assert.equal([10, 20, 29, 30, 39, 40, 50, 59, 60, 100].map(priorityOf), [7, 7, 7, 6, 6, 4, 3, 3, 2, 2]);
});

test.run();
